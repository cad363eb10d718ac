"""Segments and windows against slow, separate calculations; the codec's two ways of checking against each other."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pcdata.codecs import windows
from pcdata.codecs.base import codec_class
from pcdata.codecs.byte_model import BIT, TOTAL, CountTable, log2_table
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, document_entropies, find_threshold, segment_starts
from pcdata.codecs.window_codec import WindowCodec, WindowOptions
from pcdata.codecs.zstd import ZstdParameters
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.manifest import FittedView
from pcdata.errors import CodecError
from tests.codecs.examples import codec
from tests.strategies import documents, library_files

WINDOW_REQUESTS = (
    "ngram",
    "ngram:window_bits=24,reset=window",
    "ngram:window_bits=24,symbol_bits=8,segment=32",
    "ngram:window_bits=32,symbol_bits=4,reset=window,segment=64",
)


def window_codec(request: str) -> WindowCodec:
    found = codec(request)
    assert isinstance(found, WindowCodec)
    return found


def test_logarithms_and_entropies_are_those_of_floating_point() -> None:
    table = log2_table()
    assert np.abs(table[1:] / BIT - np.log2(np.arange(1, TOTAL + 1))).max() <= 2 / BIT
    assert (table[[1, 2, 1 << 15, TOTAL]] == [0, BIT, 15 * BIT, 16 * BIT]).all()
    rng = np.random.Generator(np.random.PCG64(1))
    counts = np.sort(rng.integers(0, TOTAL - 255, (50, 255)))
    cumulative = np.zeros((50, 257), np.uint32)
    cumulative[:, 1:256], cumulative[:, 256] = counts + np.arange(1, 256), TOTAL
    shares = np.diff(cumulative) / TOTAL
    expected = -(shares * np.log2(shares)).sum(axis=1)
    assert np.abs(CountTable(cumulative).entropies_R / BIT - expected).max() < 1e-4
    alike = CountTable(np.arange(257, dtype=np.uint32)[None] * 256)
    assert alike.entropies_R[0] == 8 * BIT


@pytest.mark.parametrize("request_text", WINDOW_REQUESTS)
def test_a_model_predicts_a_byte_alike_at_once_and_one_by_one(request_text: str) -> None:
    model, seen = window_codec(request_text).model, Counter[bool]()

    @given(st.lists(documents().filter(bool), min_size=1, max_size=3))
    def law(spans: list[bytes]) -> None:
        text = np.frombuffer(b"".join(spans), np.uint8)
        starts = np.cumsum([0, *map(len, spans[:-1])])
        predictions = model.predict(text, starts)
        at_once = predictions.table.cumulative_RC[predictions.rows_N]
        place = 0
        for span in spans:
            for index in random.Random(place).sample(range(len(span)), min(40, len(span))):
                table, row = model.following(span[:index])
                assert np.array_equal(table.cumulative_RC[row], at_once[place + index])
                seen[row > 0] += 1
            place += len(span)

    law()
    assert min(seen[True], seen[False]) > 0


def slow_starts(tested: WindowCodec, raw: bytes) -> list[int]:
    """Segments, a byte at a time, with entropies in floating point where they are far from the threshold."""
    starts: list[int] = []
    for index in range(len(raw)):
        table, row = tested.model.following(raw[:index])
        shares = np.diff(table.cumulative_RC[row]) / TOTAL
        bits = -sum(share * math.log2(share) for share in shares.tolist())
        hard = bits > tested.threshold / BIT if abs(bits - tested.threshold / BIT) > 1e-3 else None
        if hard is None:
            hard = int(table.entropies_R[row]) > tested.threshold
        if not starts or hard or index - starts[-1] == LONGEST_SEGMENT_BYTES:
            starts.append(index)
    return starts


@pytest.mark.parametrize("request_text", ["ngram", "ngram:segment=16,order=3,contexts=500"])
def test_segments_begin_where_a_slow_reading_of_the_rule_says(request_text: str) -> None:
    tested = window_codec(request_text)
    raws = [library_files()[1][:3000], b"\n" * 300, bytes(range(256)), b"a"]
    longest = 0
    for raw in raws:
        starts = segment_starts(tested.model, np.frombuffer(raw, np.uint8), np.array([0]), tested.threshold)
        assert starts.tolist() == slow_starts(tested, raw)
        longest = max(longest, int(np.diff(starts, append=len(raw)).max()))
    assert longest == LONGEST_SEGMENT_BYTES


@cache
def text_and_starts() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    files = library_files()
    return np.frombuffer(b"".join(files), np.uint8), np.cumsum([0, *map(len, files[:-1])])


@pytest.mark.parametrize("mean", [2, 8, 16, 40])
def test_the_threshold_is_the_lowest_that_makes_segments_long_enough(mean: int) -> None:
    text, starts = text_and_starts()
    model = window_codec("ngram").model
    threshold = find_threshold(document_entropies(model, text, starts), starts, mean)
    at, below = (len(segment_starts(model, text, starts, threshold - less)) for less in (0, 1))
    assert len(text) / at >= mean > len(text) / below
    assert len(text) / at < 1.2 * mean  # a step of the threshold is all that ends where one context does


def test_a_threshold_that_nothing_reaches_leaves_segments_of_the_most_bytes() -> None:
    assert find_threshold(np.full(1000, 5, np.uint32), np.array([0]), LONGEST_SEGMENT_BYTES) >= 5
    assert find_threshold(np.zeros(0, np.uint32), np.zeros(0, np.int64), 8) == 0


class SlowCoder:
    """One window at a time, in Python's integers."""

    def __init__(self, bits: int) -> None:
        self.shift = 47 - bits

    def windows(self, shares: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """(bytes, number) of each window of one span."""
        done, size, low, width = [], 0, 0, 1 << 47
        for first, last in shares:
            begin, end = low + (width * first >> 16), low + (width * last >> 16)
            if -(-begin >> self.shift) << self.shift >= end:
                done.append((size, -(-low >> self.shift)))
                size, begin, end = 0, first << 31, last << 31
            size, low, width = size + 1, begin, end - begin
        return [*done, (size, -(-low >> self.shift))]


@st.composite
def shares(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Of bytes under any counts: likely, unlikely, at either end."""
    first = draw(st.lists(st.integers(0, TOTAL - 1), min_size=1, max_size=LONGEST_SEGMENT_BYTES))
    wide = [draw(st.sampled_from([1, 2, 300, 30_000, TOTAL])) for _ in first]
    return [(low, min(low + width, TOTAL)) for low, width in zip(first, wide, strict=True)]


@pytest.mark.parametrize("bits", windows.WINDOW_BITS)
def test_windows_are_those_of_a_slow_coder_and_as_full_as_can_be(bits: int) -> None:
    seen = Counter[str]()

    @given(st.lists(shares(), min_size=1, max_size=6))
    def law(spans: list[list[tuple[int, int]]]) -> None:
        lows, highs = np.array([share for span in spans for share in span]).T
        lengths = np.array([len(span) for span in spans])
        ends, numbers = windows.encode(lows, highs, lengths, bits)
        expected = [window for span in spans for window in SlowCoder(bits).windows(span)]
        found = np.flatnonzero(ends)
        assert list(zip(np.diff(found, prepend=-1).tolist(), numbers[found].tolist(), strict=True)) == expected
        sizes = np.diff(found, prepend=-1)
        assert windows.decodes(lows, highs, sizes, numbers[found], bits).all()
        assert not windows.decodes(lows, highs, sizes, numbers[found] + 1, bits).any()
        seen["windows"] += len(found)
        seen["of several bytes"] += int((sizes > 1).sum())
        seen["spans of several"] += len(found) > len(spans)

    law()
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize("request_text", WINDOW_REQUESTS)
def test_checking_at_once_finds_what_decoding_finds(request_text: str) -> None:
    """Any damage to symbols or units that decodes to other bytes, or to none, is a fault; what is whole is none."""
    tested, seen = window_codec(request_text), Counter[bool]()
    raws = [library_files()[0][:400], b"", library_files()[2][:300], b"x" * 200]
    whole = tested.encode(raws)
    assert not list(tested.faults(raws, whole, range(len(raws))))

    @given(st.data())
    def law(data: st.DataObject) -> None:
        symbols, unit_bytes = whole.symbols.copy(), whole.unit_bytes.copy()
        for _ in range(data.draw(st.integers(1, 2))):
            place = data.draw(st.integers(0, len(symbols) - 1))
            symbols[place] = data.draw(st.integers(0, tested.types.n_symbols - 1))
        if data.draw(st.booleans()):  # the boundary between two units of one document moves
            row = data.draw(st.sampled_from([0, 2, 3]))
            first, end = whole.unit_offsets[row : row + 2].tolist()
            unit = data.draw(st.integers(first, end - 2))
            if unit_bytes[unit] > 1:
                unit_bytes[unit] -= 1
                unit_bytes[unit + 1] += 1
        damaged = ViewColumns(symbols, whole.symbol_offsets, unit_bytes, whole.unit_symbols, whole.unit_offsets)
        faulty = {row for row, _ in tested.faults(raws, damaged, [0, 1, 2, 3])}
        for row, raw in enumerate(raws):
            wrong = not decodes_to(tested, damaged, row, raw)
            assert row in faulty or not wrong
            seen[wrong] += 1
            if np.array_equal(symbols, whole.symbols) and np.array_equal(unit_bytes, whole.unit_bytes):
                assert not faulty

    law()
    assert min(seen[True], seen[False]) > 0, seen


def decodes_to(tested: WindowCodec, columns: ViewColumns, row: int, raw: bytes) -> bool:
    try:
        return raw == tested.decode(columns.symbols_of(row), columns.unit_bytes_of(row), columns.unit_symbols_of(row))
    except CodecError:
        return False


def test_only_the_rows_asked_for_are_checked() -> None:
    tested = window_codec("ngram")
    raws = [b"abc", b"def g():", b"import os"]
    columns = tested.encode(raws)
    columns.symbols[:] ^= 1
    assert [row for row, _ in tested.faults(raws, columns, [0, 2])] == [0, 2]
    assert not list(tested.faults(raws, columns, []))


def test_with_a_fresh_context_a_window_means_the_same_wherever_it_stands() -> None:
    """``reset=window``: two documents that begin alike have alike windows behind different bytes of equal segments."""
    tested = window_codec("ngram:window_bits=24,reset=window")
    raws = list(library_files()[:4])
    columns = tested.encode(raws)
    meanings: dict[tuple[int, int], set[bytes]] = {}
    for row, raw in enumerate(raws):
        ends = columns.alignment_of(row).raw_ends.tolist()
        sizes = columns.unit_bytes_of(row).tolist()
        numbers = tested.options.numbers(columns.symbols_of(row), np.zeros(len(sizes), bool)).tolist()
        for end, size, number in zip(ends, sizes, numbers, strict=True):
            meanings.setdefault((number, size), set()).add(raw[end - size : end])
    assert all(len(runs) == 1 for runs in meanings.values())
    assert len(meanings) > 1000


@pytest.mark.parametrize(
    ("bits", "symbol_bits", "unit"),
    [(16, 0, 1), (24, 0, 2), (32, 0, 2), (32, 8, 4), (24, 12, 2), (24, 3, 8), (16, 1, 16)],
)
def test_numbers_become_symbols_and_back(bits: int, symbol_bits: int, unit: int) -> None:
    options = WindowOptions.of(bits, symbol_bits, "segment")
    numbers = np.array([0, 1, 2**bits - 1, 0x1234 % 2**bits], np.uint32)
    none = np.zeros(4, bool)
    symbols = options.symbols(numbers, none)
    assert options.unit_symbols == unit
    assert len(symbols) == 4 * unit
    assert int(symbols.max()) == 2**options.symbol_bits - 1
    assert np.array_equal(options.numbers(symbols, none), numbers)
    joined = "".join(f"{symbol:0{options.symbol_bits}b}" for symbol in symbols.tolist())
    assert joined == "".join(f"{number:0{bits}b}" for number in numbers.tolist())


@pytest.mark.parametrize("bits", ["window_bits=16", "window_bits=24,symbol_bits=8", "window_bits=24,reset=window"])
def test_a_window_of_one_byte_is_written_as_that_byte(bits: str) -> None:
    """And all others as without literals."""
    plain, tested = window_codec(f"ngram:{bits}"), window_codec(f"ngram:{bits},literals=true")
    raws = [raw[:3000] for raw in library_files()[:3]] + [bytes(range(256))]
    before, after = plain.encode(raws), tested.encode(raws)
    assert np.array_equal(after.unit_bytes, before.unit_bytes)
    first = 1 << tested.options.symbol_bits
    for row, raw in enumerate(raws):
        sizes, points = after.unit_bytes_of(row), after.alignment_of(row)
        units = [
            np.split(columns.symbols_of(row), columns.alignment_of(row).symbol_ends[:-1]) for columns in (before, after)
        ]
        assert 0 < (sizes == 1).sum() < len(sizes)
        for size, end, window, unit in zip(sizes, points.raw_ends, *units, strict=True):
            assert unit.tolist() == ([first + raw[end - 1]] if size == 1 else window.tolist())


def test_a_literal_in_the_wrong_place_is_a_fault() -> None:
    tested = window_codec("ngram:literals=true")
    raw = library_files()[0][:500]
    columns = tested.encode([raw])
    first = 1 << tested.options.symbol_bits
    literal = int(np.flatnonzero(columns.unit_bytes == 1)[0])
    longer = int(np.flatnonzero(columns.unit_bytes > 1)[0])
    for at, symbol, what in (
        (literal, 7, "a window of one byte is not written as that byte"),
        (longer, first + 7, "a window of one byte is not written as that byte"),
        (literal, int(columns.symbols[literal]) ^ 1, "other bytes"),
    ):
        wrong = tested.encode([raw])
        wrong.symbols[at] = symbol
        assert what in dict(tested.faults([raw], wrong, [0]))[0]
        assert not decodes_to(tested, wrong, 0, raw)


def test_what_stands_before_a_piece_of_a_long_text_is_seen() -> None:
    text, starts = text_and_starts()
    model = window_codec("ngram").model
    entropies = document_entropies(model, text, starts)
    places = [place + offset for place in range(1 << 17, len(text), 1 << 17) for offset in range(-3, 6)]
    assert len(places) > 20
    for place in places:
        document = int(starts[np.searchsorted(starts, place, side="right") - 1])
        table, row = model.following(text[max(document, place - 128) : place].tobytes())
        assert entropies[place] == table.entropies_R[row]


def test_a_window_over_the_end_of_a_segment_is_a_fault() -> None:
    """Even where its number is right under the counts of both segments: a decoder would not know of the second."""
    tested, found = window_codec("ngram"), 0
    raw = library_files()[1][:4000]
    text, _, starts = tested._segments([raw])
    lows, highs = tested.model.predict(text, starts).intervals(text)
    lengths = np.diff(starts, append=len(text))
    for first in range(len(lengths) - 1):
        joined = np.concatenate([lengths[:first], [lengths[first] + lengths[first + 1]], lengths[first + 2 :]])
        ends, numbers = windows.encode(lows, highs, joined, 16)
        if ends[starts[first + 1] - 1]:
            continue  # the two do not share a window
        unit_bytes = np.diff(np.flatnonzero(ends), prepend=-1).astype(np.uint8)
        offsets = np.array([0, len(unit_bytes)])
        columns = ViewColumns(
            tested.options.symbols(numbers[ends], np.zeros(int(ends.sum()), bool)), offsets, unit_bytes, None, offsets
        )
        assert list(tested.faults([raw], columns, [0])) == [(0, "a segment begins within a window")]
        found += not decodes_to(tested, columns, 0, raw)
        if found > 5:
            break
    assert found > 5


@pytest.mark.parametrize("name", ["zstd", "gzip", "bpe", "token-bytes", "bit", "ngram"])
def test_a_view_says_whether_its_symbols_have_the_lengths_of_units(name: str) -> None:
    """To those who load no codec: by its parameters, whatever the codec is called."""
    cls = codec_class(name)
    view = FittedView("v", "theirs", asdict(cls.Parameters()), {}, None, (), {}, "own")
    assert view.has_unit_lengths is not issubclass(cls, WindowCodec)


def test_a_codec_of_windows_has_the_parameter_that_tells() -> None:
    with pytest.raises(TypeError, match=r"Theirs\.Parameters must have a field window_bits"):
        type("Theirs", (WindowCodec,), {"Parameters": ZstdParameters})
