"""The laws of ``pcdata.codecs.base.Codec``, for every codec and every option that changes its output."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.codecs.base import Codec
from pcdata.dataset.views import ViewColumns
from pcdata.errors import CodecError
from tests.codecs.examples import REQUESTS, codec, fitted, opened
from tests.strategies import HOSTILE, batches, documents, library_files

pytestmark = pytest.mark.parametrize("request_text", REQUESTS)


def check_columns(tested: Codec, raws: list[bytes], columns: ViewColumns) -> None:
    """Types, maxima and offsets are as promised, and lengths add up."""
    assert len(columns) == len(raws)
    assert columns.symbols.dtype == tested.types.symbol_dtype
    assert columns.unit_bytes.dtype == tested.types.unit_bytes_dtype
    assert columns.symbol_offsets.dtype == columns.unit_offsets.dtype == np.int64
    assert columns.symbols.max(initial=0) < tested.types.n_symbols
    assert columns.unit_bytes.max(initial=0) <= tested.types.max_unit_bytes
    assert columns.unit_bytes.min(initial=1) >= 1
    assert (columns.unit_symbols is None) == (tested.types.max_unit_symbols == 1)
    if columns.unit_symbols is not None:
        assert columns.unit_symbols.dtype == tested.types.unit_symbols_dtype
        assert columns.unit_symbols.max(initial=0) <= tested.types.max_unit_symbols
        assert columns.unit_symbols.min(initial=1) >= 1
    assert columns.symbol_offsets[-1] == len(columns.symbols)
    assert columns.unit_offsets[-1] == len(columns.unit_bytes)
    for row, raw in enumerate(raws):
        alignment = columns.alignment_of(row)
        ends = (alignment.symbol_ends[-1], alignment.raw_ends[-1]) if len(alignment.raw_ends) else (0, 0)
        assert ends == (len(columns.symbols_of(row)), len(raw))


def decoded(tested: Codec, columns: ViewColumns, row: int, first: int = 0, end: int | None = None) -> bytes:
    """Units first … end - 1 of a document, decoded by themselves."""
    symbol_ends = np.concatenate([[0], columns.alignment_of(row).symbol_ends])
    end = len(symbol_ends) - 1 if end is None else end
    unit_symbols = columns.unit_symbols_of(row)
    return tested.decode(
        columns.symbols_of(row)[symbol_ends[first] : symbol_ends[end]],
        columns.unit_bytes_of(row)[first:end],
        None if unit_symbols is None else unit_symbols[first:end],
    )


def check_alignment(tested: Codec, raw: bytes, columns: ViewColumns, row: int, most: int) -> int:
    """At up to ``most`` alignment points, evenly spread, the symbols so far are the raw bytes so far."""
    ends = [0, *columns.alignment_of(row).raw_ends.tolist()]
    points = sorted({round(point) for point in np.linspace(0, len(ends) - 1, most)})
    for point in points:
        assert decoded(tested, columns, row, 0, point) == raw[: ends[point]]
        if tested.units_independent and point:
            assert decoded(tested, columns, row, point - 1, point) == raw[ends[point - 1] : ends[point]]
    return len(points)


def test_lossless_and_aligned(request_text: str) -> None:
    tested, seen = codec(request_text), Counter[str]()

    @given(batches())
    def law(raws: list[bytes]) -> None:
        columns = tested.encode(raws)
        check_columns(tested, raws, columns)
        for row, raw in enumerate(raws):
            assert decoded(tested, columns, row) == raw
            seen["points"] += check_alignment(tested, raw, columns, row, 12)
            seen["documents"] += 1

    law()
    assert seen["points"] > seen["documents"] > 0, "no document had units: the law was not tested"


def test_hostile_documents(request_text: str) -> None:
    tested, raws = codec(request_text), list(HOSTILE.values())
    columns = tested.encode(raws)
    check_columns(tested, raws, columns)
    for row, raw in enumerate(raws):
        assert decoded(tested, columns, row) == raw
        check_alignment(tested, raw, columns, row, 4 if len(raw) < 100_000 else 1)


def test_library_files(request_text: str) -> None:
    tested, raws = codec(request_text), list(library_files()[-6:])
    columns = tested.encode(raws)
    check_columns(tested, raws, columns)
    points = sum(check_alignment(tested, raw, columns, row, 40) for row, raw in enumerate(raws))
    assert points > len(raws)
    compresses = request_text.startswith(("zstd", "gzip", "bpe", "ngram")) and request_text != "bpe:vocab_size=256"
    if compresses:
        assert len(columns.symbols) * math.log2(tested.types.n_symbols) < 8 * columns.unit_bytes.sum()


def test_the_empty_document_has_nothing(request_text: str) -> None:
    tested = codec(request_text)
    for raws in ([], [b""], [b"", b""]):
        columns = tested.encode(raws)
        check_columns(tested, raws, columns)
        assert not len(columns.symbols)
        assert not len(columns.unit_bytes)


def test_a_document_is_encoded_alike_in_any_batch_and_instance(request_text: str) -> None:
    tested, other, seen = codec(request_text), opened(request_text), Counter[str]()

    @given(batches(), documents())
    def law(raws: list[bytes], raw: bytes) -> None:
        alone, among = tested.encode([raw]), other.encode([*raws, raw, *raws])
        row = len(raws)
        assert np.array_equal(alone.symbols, among.symbols_of(row))
        assert np.array_equal(alone.unit_bytes, among.unit_bytes_of(row))
        if alone.unit_symbols is not None:
            assert np.array_equal(alone.unit_symbols, among.unit_symbols_of(row))
        seen["symbols"] += len(alone.symbols)

    law()
    assert seen["symbols"] > 0


def test_fitting_again_gives_the_same_artifact(request_text: str) -> None:
    text = request_text.partition(" ")[0]
    before = fitted(text)
    fitted.cache_clear()
    assert fitted(text) == before


def test_maxima_hold_for_incompressible_bytes(request_text: str) -> None:
    tested = codec(request_text)
    raws = [random.Random(size).randbytes(size) for size in (63, 64, 65, 255, 256, 257, 65_536, 65_537, 300_000)]
    # Noise between runs leaves matchers and entropy coders in the state that suits them least.
    raws += [b"".join(raws[index % 3] + b"\0" * 70 * (index % 5) for index in range(300))]
    check_columns(tested, raws, tested.encode(raws))


def test_impossible_symbols_are_refused_and_nothing_else_happens(request_text: str) -> None:
    tested, seen = codec(request_text), Counter[str]()
    columns = tested.encode([library_files()[0][:3000]])

    @given(st.data())
    def law(data: st.DataObject) -> None:
        symbols, unit_bytes = columns.symbols.copy(), columns.unit_bytes.copy()
        most = np.iinfo(symbols.dtype).max
        for _ in range(data.draw(st.integers(0, 3))):
            symbols[data.draw(st.integers(0, len(symbols) - 1))] = data.draw(st.integers(0, most))
        if data.draw(st.booleans()):
            unit_bytes[data.draw(st.integers(0, len(unit_bytes) - 1))] += 1
        try:
            tested.decode(symbols, unit_bytes, columns.unit_symbols)
        except CodecError:
            seen["refused"] += 1

    law()
    assert seen["refused"] > 0
    longer = np.full(len(columns.unit_bytes), np.iinfo(np.uint32).max, np.uint32)
    with pytest.raises(CodecError):
        tested.decode(columns.symbols, longer, columns.unit_symbols)
    with pytest.raises(CodecError):
        tested.decode(columns.symbols[:-1], columns.unit_bytes, columns.unit_symbols)
    with pytest.raises(CodecError):
        tested.decode(
            columns.symbols, columns.unit_bytes, None if columns.unit_symbols is not None else columns.symbols
        )
