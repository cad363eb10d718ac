"""Fitting a BPE: what the library makes by itself, but of words without end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel

from pcdata.codecs import bpe_format
from pcdata.codecs.bpe import BpeCodec, BpeParameters, may_hold_words_above
from tests.strategies import documents, library_files

BYTE_LEVEL: Final = ByteLevel(add_prefix_space=False)


def fitted_without_cutting(sample: Sequence[bytes], vocab_size: int) -> bytes:
    """What ``tokenizers`` makes when it is used plainly."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = BYTE_LEVEL
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=ByteLevel.alphabet(), special_tokens=[], show_progress=False
    )
    tokenizer.train_from_iterator((raw.decode(errors="ignore") for raw in sample), trainer)
    return bpe_format.canonical(tokenizer.to_str().encode())


def longest_word(raw: bytes) -> int:
    return max([len(word) for word, _ in BYTE_LEVEL.pre_tokenize_str(raw.decode(errors="ignore"))], default=0)


@given(st.lists(documents(), max_size=3))
def test_fitting_cuts_only_what_is_too_long(sample: list[bytes]) -> None:
    (found,) = BpeCodec.fit(BpeParameters(400), sample).values()
    if max(map(longest_word, sample), default=0) <= 1024:
        assert found == fitted_without_cutting(sample, 400)


def test_fitting_on_the_library_cuts_nothing() -> None:
    assert BpeCodec.fit(BpeParameters(2000), library_files()) == {
        "tokenizer.json": fitted_without_cutting(library_files(), 2000)
    }


@pytest.mark.parametrize("piece", [b"a", b" ", b"\n", "\u3000".encode(), b"+", "é".encode(), b"\0"])
def test_words_without_end_are_cut(piece: bytes) -> None:
    """Whole, its words of every power of two would become tokens."""
    artifact = BpeCodec.fit(BpeParameters(1000), [b"def", piece * (8192 // len(piece))])
    tokenizer = artifact["tokenizer.json"]
    assert 512 <= max(len(token or b"") for token in bpe_format.token_bytes(tokenizer)) <= 1024
    assert json.loads(tokenizer)["pre_tokenizer"]["type"] == "ByteLevel"


@given(documents(), st.sampled_from([3, 8, 40]))
def test_every_document_with_a_long_word_is_found(raw: bytes, n_bytes: int) -> None:
    assert may_hold_words_above(n_bytes).search(raw) or longest_word(raw) <= n_bytes
