"""The laws of every codec, put to this one, and what is special about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pcdata_words import WORDS, WordsCodec, WordsParameters

from pcdata.codecs.laws import HOSTILE, INCOMPRESSIBLE, check_fit, check_laws, check_refusals
from pcdata.errors import CodecError, OptionError

SAMPLE = [Path(__file__).read_bytes(), *HOSTILE.values()]


@pytest.mark.parametrize("words", [1, 20, 4096])
def test_laws(words: int) -> None:
    codec = check_fit(WordsCodec, WordsParameters(words), SAMPLE)
    check_laws(codec, [*SAMPLE, *INCOMPRESSIBLE])
    check_refusals(codec, SAMPLE[0])


def test_a_frequent_word_is_one_symbol() -> None:
    artifact = WordsCodec.fit(WordsParameters(2), [b"one two, two three; three three"])
    assert artifact == {WORDS: b"three\ntwo\n"}
    encoded = WordsCodec(WordsParameters(2), artifact, {}).encode([b"two one\xff"])
    assert encoded.symbols.tolist() == [257, *b" one\xff"]
    assert encoded.unit_bytes.tolist() == [3, 1, 1, 1, 1, 1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="words must be 1 … 1048576, got 0"):
        WordsParameters(0)
    for text in (b"a\n", b"two words\n", b"twice\ntwice\n"):
        with pytest.raises(CodecError, match="another word of 2 to 64 letters"):
            WordsCodec(WordsParameters(), {WORDS: text}, {})
