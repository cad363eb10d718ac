"""What is particular to BPE: the oracle's ids, the rule for broken UTF-8, the choice of engine, files refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any
from unicodedata import ucd_3_2_0
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pcdata.codecs import bpe_compare, bpe_engines, bpe_format
from pcdata.codecs.base import Codec
from pcdata.codecs.bpe import BpeCodec, BpeParameters
from pcdata.codecs.bpe_compare import TokenComparer
from pcdata.dataset.columns import ViewColumns
from pcdata.errors import CodecError
from tests.codecs.examples import codec, fitted, splitting_as_gpt4
from tests.strategies import HOSTILE, documents, library_files

FITTED = fitted("bpe:vocab_size=700")["tokenizer.json"]


def opened(tokenizer: bytes, engine: str = "tokenizers") -> BpeCodec:
    return BpeCodec(BpeParameters(), {"tokenizer.json": tokenizer}, {"engine": engine})


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    found = json.loads(FITTED)
    change(found)
    return json.dumps(found).encode()


@pytest.mark.parametrize("request_text", ["bpe:vocab_size=700", "bpe:vocab_size=700 split as GPT-4 does"])
def test_ids_are_those_of_tokenizers(request_text: str) -> None:
    file = FITTED if "GPT" not in request_text else splitting_as_gpt4(FITTED)
    oracle = Tokenizer.from_str(file.decode())
    texts = [raw for raw in library_files() if raw.decode(errors="ignore").encode() == raw]
    columns = codec(request_text).encode(texts)
    for row, raw in enumerate(texts):
        assert columns.symbols_of(row).tolist() == oracle.encode(raw.decode()).ids
    assert sum(map(len, texts)) > 200_000


def test_both_engines_agree_on_any_bytes() -> None:
    pytest.importorskip("gigatoken")
    fast, oracle = opened(FITTED, "gigatoken"), opened(FITTED)
    small = [raw for raw in HOSTILE.values() if len(raw) < 100_000]
    assert np.array_equal(fast.encode(small).symbols, oracle.encode(small).symbols)

    @given(documents())
    def law(raw: bytes) -> None:
        raw = without_newer_characters(raw)
        assert np.array_equal(fast.encode([raw]).symbols, oracle.encode([raw]).symbols)

    law()


def without_newer_characters(raw: bytes) -> bytes:
    """The engines follow different versions of Unicode; both know 3.2."""
    text = raw.decode(errors="surrogateescape")
    known = (character for character in text if ucd_3_2_0.category(character) != "Cn")
    return "".join(known).encode(errors="surrogateescape")


def test_bytes_that_are_not_utf8_follow_the_rule() -> None:
    tested = codec("bpe:vocab_size=700")
    assert tested.encode([bytes(range(128, 256))]).unit_bytes.tolist() == [1] * 128
    raw = b"import \xff\xfe\xe9os\n\xed\xa0\x80self.x \xc3\xa9\xc3"
    parts = [b"import ", b"\xff", b"\xfe", b"\xe9", b"os\n", b"\xed", b"\xa0", b"\x80", "self.x é".encode(), b"\xc3"]
    expected = np.concatenate([tested.encode([part]).symbols for part in parts])
    assert tested.encode([raw]).symbols.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("normalizer", lambda f: f.update(normalizer={"type": "NFC"})),
        ("truncation", lambda f: f.update(truncation={"max_length": 5})),
        ("padding", lambda f: f.update(padding={"strategy": "BatchLongest"})),
        ("unknown field surprise", lambda f: f.update(surprise=1)),
        ("pre_tokenizer", lambda f: f.update(pre_tokenizer=None)),
        ("pre_tokenizer.type", lambda f: f.update(pre_tokenizer={"type": "Whitespace"})),
        ("pre_tokenizer.add_prefix_space", lambda f: f["pre_tokenizer"].update(add_prefix_space=True)),
        ("model", lambda f: f.update(model=None)),
        ("model.type", lambda f: f["model"].update(type="WordPiece")),
        ("model.dropout", lambda f: f["model"].update(dropout=0.1)),
        ("model.continuing_subword_prefix", lambda f: f["model"].update(continuing_subword_prefix="##")),
        ("model.end_of_word_suffix", lambda f: f["model"].update(end_of_word_suffix="</w>")),
        ("model.byte_fallback", lambda f: f["model"].update(byte_fallback=True)),
        ("unknown field model.surprise", lambda f: f["model"].update(surprise=1)),
        ("model.vocab has no token for 1 bytes, such as 0x41", lambda f: f["model"]["vocab"].pop("A")),
        ("model.vocab gives one id to two", lambda f: f["model"]["vocab"].update(A=f["model"]["vocab"]["B"])),
        ("model.vocab['A']", lambda f: f["model"]["vocab"].update(A=-1)),
        ("model.vocab['A']", lambda f: f["model"]["vocab"].update(A=1 << 40)),
        ("model.merges", lambda f: f["model"].update(merges=None)),
        ("model.merges", lambda f: f["model"]["merges"].append(["a"])),
        ("model.merges uses 'zqzq'", lambda f: f["model"]["merges"].append(["zqzq", "a"])),
    ],
)
def test_a_file_that_is_not_lossless_is_refused_by_field(field: str, change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(CodecError, match=re.escape(f"tokenizer.json: {field}")) as caught:
        opened(changed(change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"model": "\\ud800"}', FITTED[:-1]]
)
def test_a_file_that_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match=r"^tokenizer\.json"):
        opened(data)


def test_a_split_that_drops_text_is_refused() -> None:
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False}
    last = json.loads(FITTED)["pre_tokenizer"]
    steps = {"type": "Sequence", "pretokenizers": [split, last]}
    with pytest.raises(CodecError, match=r"pre_tokenizer\.behavior"):
        opened(changed(lambda f: f.update(pre_tokenizer=steps)))


def test_added_tokens_and_the_rest_are_left_out() -> None:
    size = len(json.loads(FITTED)["model"]["vocab"])
    special = {"content": "<|endoftext|>", "single_word": False, "lstrip": True, "rstrip": True, "normalized": False}
    cluttered = changed(
        lambda f: f.update(
            added_tokens=[{"id": size, "special": True, **special}],
            post_processor={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        )
    )
    assert bpe_format.canonical(cluttered) == FITTED == bpe_format.canonical(FITTED)
    tested = opened(cluttered)
    assert tested.types.n_symbols == size
    raw = b"a   <|endoftext|>   b"
    columns = tested.encode([raw])
    assert tested.decode(columns.symbols, columns.unit_bytes, None) == raw
    assert len(columns.symbols) > 10


def test_merges_may_be_pairs_or_strings() -> None:
    assert (
        opened(changed(lambda f: f["model"].update(merges=[" ".join(m) for m in f["model"]["merges"]])))._tokenizer
        == FITTED
    )


def test_ids_may_have_gaps_and_tokens_that_are_no_bytes() -> None:
    tested = opened(changed(lambda f: f["model"]["vocab"].update({"[not bytes]": 5000, "a b": 5001})))
    assert tested.types.n_symbols == 5002
    columns = tested.encode([HOSTILE["special strings"]])
    assert tested.decode(columns.symbols, columns.unit_bytes, None) == HOSTILE["special strings"]
    with pytest.raises(CodecError, match="stands for no token"):
        tested.decode(np.array([5001], np.uint16), np.array([0], np.uint8), None)


def test_gigatoken_is_chosen_where_it_agrees_only() -> None:
    pytest.importorskip("gigatoken")
    sample = library_files()[:3]
    assert bpe_engines.choose(FITTED, sample) == "gigatoken"
    without_regex = bpe_format.canonical(changed(lambda f: f["pre_tokenizer"].update(use_regex=False)))
    assert bpe_engines.choose(without_regex, []) == "tokenizers"
    unknown_split = {"type": "Split", "pattern": {"Regex": "a+|[^a]"}, "behavior": "Isolated", "invert": False}
    steps = [unknown_split, {**json.loads(FITTED)["pre_tokenizer"], "use_regex": False}]
    pre_tokenizer = {"type": "Sequence", "pretokenizers": steps}
    assert (
        bpe_engines.choose(bpe_format.canonical(changed(lambda f: f.update(pre_tokenizer=pre_tokenizer))), [])
        == "tokenizers"
    )


def test_without_gigatoken_there_is_tokenizers_and_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "gigatoken":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    tested = opened(FITTED, "gigatoken")
    columns = opened(FITTED).encode([b"import os\n"])
    monkeypatch.setattr(metadata, "version", version)
    assert bpe_engines.choose(FITTED, []) == "tokenizers"
    with pytest.raises(CodecError, match="gigatoken, which is not installed here"):
        tested.encode([b"import os\n"])
    with pytest.raises(CodecError, match="gigatoken, which is not installed here"):
        BpeCodec.versions({"engine": "gigatoken"})
    assert tested.decode(columns.symbols, columns.unit_bytes, None) == b"import os\n"


def test_fitting_gives_what_was_asked_for() -> None:
    assert len(json.loads(FITTED)["model"]["vocab"]) == 700
    assert codec("bpe:vocab_size=256").types.max_unit_bytes == 1
    for sample in ([], [b""], [b"\xff"], [b"aaaa" * 1000]):
        artifact = BpeCodec.fit(BpeParameters(), sample)
        assert 256 <= opened(artifact["tokenizer.json"]).types.n_symbols < 300


def test_a_tokenizer_handed_in_may_have_any_file_name(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_bytes(FITTED)
    assert BpeCodec.read_artifact(tmp_path / "mine.json") == {"tokenizer.json": FITTED}
    (tmp_path / "tokenizer.json").write_bytes(FITTED)
    (tmp_path / "config.json").write_bytes(b"{}")
    assert BpeCodec.read_artifact(tmp_path) == {"tokenizer.json": FITTED}


def test_byte_characters_are_those_of_the_library() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(bpe_format.byte_characters()) == sorted(ByteLevel.alphabet())
    (shown,) = [piece for piece, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("\0 é\n")]
    assert shown == "".join(bpe_format.byte_characters()[byte] for byte in "\0 é\n".encode())


@given(documents(), st.data())
def test_comparing_finds_what_decoding_finds(raw: bytes, data: st.DataObject) -> None:
    """A symbol is replaced, now and then by one of as many bytes; the other documents are sound."""
    tested = codec("bpe:vocab_size=700")
    long = b"                    =================================\n" * 3
    raws = [b"", long, raw + long, b"", raw, b"def"]
    columns = tested.encode(raws)
    assert int(columns.unit_bytes.max()) > 16
    assert not list(tested.faults(raws, columns, range(len(raws))))
    place = data.draw(st.integers(0, len(columns.symbols) - 1))
    alike = np.flatnonzero(tested._lengths == columns.unit_bytes[place])
    other = data.draw(st.sampled_from(alike.tolist()) | st.integers(0, 701))
    symbols = columns.symbols.copy()
    symbols[place] = other
    damaged = replace(columns, symbols=symbols)
    found = list(tested.faults(raws, damaged, range(len(raws))))
    assert found == list(Codec.faults(tested, raws, damaged, range(len(raws))))
    assert bool(found) == (other != columns.symbols[place])
    assert not list(tested.faults(raws, damaged, [row for row in range(6) if row not in dict(found)]))


@pytest.mark.parametrize("most_words", [2, 8])
@given(chosen=st.lists(st.tuples(st.integers(1, 40), st.integers(-1, 39)), min_size=1))
def test_tokens_that_differ_in_one_byte_are_told_apart(most_words: int, chosen: list[tuple[int, int]]) -> None:
    """A token of each length, and one with another byte at each place; a document each, few compared at once."""
    tokens = [bytes(range(length)) for length in range(1, 41)]
    right = [length - 1 for length, _ in chosen]
    shown = []
    for symbol, at in zip(right, (at for _, at in chosen), strict=True):
        if 0 <= at <= symbol:
            tokens.append(tokens[symbol][:at] + b"\xff" + tokens[symbol][at + 1 :])
            symbol = len(tokens) - 1
        shown.append(symbol)
    lengths = np.array([len(tokens[symbol]) for symbol in shown], np.uint8)
    with mock.patch.multiple(bpe_compare, _AT_ONCE=3, _MOST_WORDS=most_words):
        compared = TokenComparer(tokens).differ([tokens[symbol] for symbol in right], np.array(shown), lengths)
    assert compared.tolist() == [place for place, symbol in enumerate(shown) if symbol != right[place]]


@pytest.mark.parametrize(("token_bytes", "bytes_given"), [(1, 2), (9, 8)])
def test_comparing_finds_lengths_that_are_not_the_tokens(token_bytes: int, bytes_given: int) -> None:
    """A length that leaves out the token's ninth byte, or takes in the zero behind its first."""
    tested = codec("bpe:vocab_size=700")
    symbol = int(np.flatnonzero(tested._lengths == token_bytes)[0])
    raw = [(tested._tokens[symbol] + b"\0")[:bytes_given]]
    at = np.array([0, 1])
    lying = ViewColumns(np.array([symbol], np.uint16), at, np.array([bytes_given], np.uint8), None, at)
    found = list(tested.faults(raw, lying, [0]))
    assert found == list(Codec.faults(tested, raw, lying, [0]))
    assert len(found) == 1
