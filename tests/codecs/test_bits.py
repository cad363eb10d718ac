"""Codecs that regroup bits, and Gray code: the very symbols."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pcdata.codecs import bpe_format
from pcdata.codecs.base import codec_class
from pcdata.codecs.token_bytes import TokenBytesParameters, gray_codes
from pcdata.errors import CodecError
from tests.codecs.examples import codec, fitted
from tests.strategies import HOSTILE, library_files


@pytest.mark.parametrize(("name", "bits"), [("halfbyte", 4), ("doublebit", 2), ("bit", 1)])
def test_pieces_are_the_digits_of_a_byte(name: str, bits: int) -> None:
    raw = bytes(range(256))
    columns = codec(name).encode([raw])
    digits = "".join(f"{byte:08b}" for byte in raw)
    expected = [int(digits[place : place + bits], 2) for place in range(0, len(digits), bits)]
    assert columns.symbols.tolist() == expected
    assert columns.unit_symbols is not None
    assert set(columns.unit_symbols.tolist()) == {8 // bits}


def test_pairs_of_bytes_and_an_odd_last_one() -> None:
    columns = codec("doublebyte").encode([b"ab\0", b"", b"\0", b"\0\0", b"xyz!"])
    assert columns.symbols.tolist() == [0x6162, 0, 0, 0, 0x7879, 0x7A21]
    assert columns.unit_bytes.tolist() == [2, 1, 1, 2, 2, 2]
    assert columns.symbol_offsets.tolist() == [0, 2, 2, 3, 4, 6]


@pytest.mark.parametrize(
    ("symbols", "unit_bytes", "says"),
    [
        ([0x6162, 7], [1, 2], "only the last may have 1"),
        ([0x6162], [3], "only the last may have 1"),
        ([0x6162], [1], "the last symbol is 24930, but stands for 1 byte"),
    ],
)
def test_pairs_that_cannot_be_are_refused(symbols: list[int], unit_bytes: list[int], says: str) -> None:
    with pytest.raises(CodecError, match=says):
        codec("doublebyte").decode(np.array(symbols, np.uint16), np.array(unit_bytes, np.uint8), None)


def test_neighbours_in_the_sorted_vocabulary_differ_by_one_bit() -> None:
    tokens = bpe_format.token_bytes(fitted("token-bytes:vocab_size=700,code=gray")[bpe_format.TOKENIZER])
    codes = gray_codes(tokens)
    in_order = sorted(range(len(tokens)), key=lambda token: tokens[token] or b"")
    assert len(in_order) == 700
    steps = [int(codes[a] ^ codes[b]).bit_count() for a, b in pairwise(in_order)]
    assert set(steps) == {1}
    assert sorted(codes.tolist()) == sorted(rank ^ rank >> 1 for rank in range(700))


def test_ids_of_no_text_come_last() -> None:
    codes = gray_codes([None, b"b", b"a", None, b"ab"]).tolist()
    assert codes == [rank ^ rank >> 1 for rank in (3, 2, 0, 4, 1)]


@pytest.mark.parametrize("code", ["plain", "gray"])
def test_two_bytes_hold_what_bpe_says(code: str) -> None:
    request = f"token-bytes:vocab_size=700{',code=gray' if code == 'gray' else ''}"
    raws = [*library_files()[:5], HOSTILE["Latin-1"]]
    two, ids = codec(request).encode(raws), codec("bpe:vocab_size=700").encode(raws)
    assert np.array_equal(two.unit_bytes, ids.unit_bytes)
    written = two.symbols.reshape(-1, 2).astype(np.int64)
    values = written[:, 0] * 256 + written[:, 1]
    tokens = bpe_format.token_bytes(fitted(request)[bpe_format.TOKENIZER])
    codes = np.arange(700) if code == "plain" else gray_codes(tokens)
    assert np.array_equal(values, codes[ids.symbols])


def test_a_tokenizer_with_more_ids_than_two_bytes_hold_is_refused() -> None:
    tokenizer = fitted("bpe:vocab_size=700")[bpe_format.TOKENIZER]
    many = tokenizer.replace(b'"vocab": {', b'"vocab": {"\xc3\xbfy\xc3\xbfy": 65536, ', 1)
    if many == tokenizer:
        many = tokenizer.replace(b'"vocab":{', b'"vocab":{"\xc3\xbfy\xc3\xbfy":65536,', 1)
    with pytest.raises(CodecError, match="the tokenizer has 65537 ids, two bytes hold 65536"):
        codec_class("token-bytes")(TokenBytesParameters(), {bpe_format.TOKENIZER: many}, {})
