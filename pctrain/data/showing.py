"""One document on its way into rows: how much of it fits into what is left of a row, by arithmetic on lengths.

A sample is ``[bos] <open> symbols [<close>]``, or two such spans for a pair. ``bos`` stands at byte 0 of a document
only, and a close mark only where the document ends. What does not fit goes on in the next row as a new sample, under
a fresh open mark; no symbol is shown twice.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from pctrain.data.documents import Document
from pctrain.data.mixture import RAW, Appearance


class Span(NamedTuple):
    """A run of one document's symbols in one view, with its marks: one open mark, and perhaps one close mark."""

    view: int
    block: int
    start: int
    """Into the block's column."""
    end: int
    """Exclusive."""
    closes: bool
    raw_bytes: int
    """How many raw bytes it stands for, in proportion where it ends inside a unit."""


class Sample(NamedTuple):
    """What attends to itself: a piece of a document, or the same piece in two views."""

    length: int
    """Symbols and marks."""
    bos: bool
    spans: tuple[Span, ...]
    unpaired_units: int
    """1 where it begins a unit of a pair that has to be shown compressed alone."""


class Showing(Protocol):
    """A document in some appearance, and how far it has come."""

    appearance: Appearance
    offset_symbols: int
    """As in ``Cursor``: with the document and its appearance, the whole state."""
    size_symbols: int
    """The offset at its end."""
    done: bool

    def place(self, room: int) -> Sample | None:
        """Move on by what fits into ``room``; None if that is nothing but marks. An empty row always fits some."""


def show(document: Document, appearance: Appearance, offset_symbols: int, row_symbols: int) -> Showing:
    """Begin a document, or go on at ``offset_symbols``. An empty one is shown raw, whatever its appearance."""
    start, end = document.extent(RAW)
    if start == end:
        return Solo(document, RAW, offset_symbols)
    if len(appearance) == 1:
        return Solo(document, appearance[0], offset_symbols)
    return Pair(document, appearance, offset_symbols, row_symbols)


class Solo:
    """A document in one view. It may be cut at any symbol."""

    def __init__(self, document: Document, view: int, offset_symbols: int) -> None:
        self.appearance: Appearance = (view,)
        self._view = view
        self._block = document.block
        self._start, end = document.extent(view)
        raw_start, raw_end = document.extent(RAW)
        self._raw_bytes = raw_end - raw_start
        self._at_byte_0 = document.at_byte_0
        self._at_end = document.at_end
        self.size_symbols = end - self._start
        self.offset_symbols = offset_symbols
        self.done = False

    def place(self, room: int) -> Sample | None:
        begin, size = self.offset_symbols, self.size_symbols
        bos = self._at_byte_0 and begin == 0
        taken = _take(size - begin, self._at_end, room - bos - 1)
        if taken is None:
            return None
        end = self.offset_symbols = begin + taken
        self.done = end == size
        closes = self.done and self._at_end
        raw_bytes = _share(self._raw_bytes, end, size) - _share(self._raw_bytes, begin, size)
        span = Span(self._view, self._block, self._start + begin, self._start + end, closes, raw_bytes)
        return Sample(bos + 1 + taken + closes, bos, (span,), 0)


class Pair:
    """A document raw and in one view, side by side: both spans cover the same bytes, in whole units.

    A unit that does not fit into an empty row beside its raw bytes is shown compressed alone, cut like a solo.
    """

    def __init__(self, document: Document, appearance: Appearance, offset_symbols: int, row_symbols: int) -> None:
        self.appearance = appearance
        self._view = max(appearance)
        self._block = document.block
        self._raw_start, _ = document.extent(RAW)
        self._start, _ = document.extent(self._view)
        points = document.alignment(self._view)
        self._symbol_ends, self._raw_ends = points.symbol_ends, points.raw_ends
        self._costs = points.symbol_ends + points.raw_ends
        self._at_byte_0 = document.at_byte_0
        self._at_end = document.at_end
        self._row_symbols = row_symbols
        self._last = len(self._costs) - 1
        self._unit = int(np.searchsorted(self._symbol_ends, offset_symbols, side="right"))
        self.size_symbols = int(self._symbol_ends[-1])
        self.offset_symbols = offset_symbols
        self.done = False

    def place(self, room: int) -> Sample | None:
        bos = self._at_byte_0 and self.offset_symbols == 0
        if self.offset_symbols > self._symbols_before(self._unit):
            return self._place_unpaired(room, bos)
        end_unit = self._units_within(room - bos - 2)
        if end_unit > self._unit:
            return self._place_pair(end_unit, bos)
        if self._units_within(self._row_symbols - bos - 2) > self._unit:
            return None
        return self._place_unpaired(room, bos)

    def _units_within(self, space: int) -> int:
        """The end (exclusive) of the units that fit, from the current one on; a close mark counts for each side."""
        begin = self._symbols_before(self._unit) + self._bytes_before(self._unit)
        if int(self._costs[-1]) - begin + 2 * self._at_end <= space:
            return self._last + 1
        return min(int(np.searchsorted(self._costs, begin + space, side="right")), self._last)

    def _place_pair(self, end_unit: int, bos: bool) -> Sample:
        raw_begin, raw_end = self._bytes_before(self._unit), self._bytes_before(end_unit)
        begin, end = self.offset_symbols, self._symbols_before(end_unit)
        self.done = end_unit > self._last
        closes = self.done and self._at_end
        raw_start, start, size = self._raw_start, self._start, raw_end - raw_begin
        raw = Span(RAW, self._block, raw_start + raw_begin, raw_start + raw_end, closes, size)
        compressed = Span(self._view, self._block, start + begin, start + end, closes, size)
        self._unit, self.offset_symbols = end_unit, end
        spans = (raw, compressed) if self.appearance[0] == RAW else (compressed, raw)
        return Sample(bos + 2 + size + end - begin + 2 * closes, bos, spans, 0)

    def _place_unpaired(self, room: int, bos: bool) -> Sample | None:
        unit, begin = self._unit, self.offset_symbols
        unit_begin, unit_end = self._symbols_before(unit), self._symbols_before(unit + 1)
        taken = _take(unit_end - begin, unit == self._last and self._at_end, room - bos - 1)
        if taken is None:
            return None
        end = self.offset_symbols = begin + taken
        if end == unit_end:
            self._unit += 1
        self.done = self._unit > self._last
        closes = self.done and self._at_end
        unit_bytes, unit_symbols = self._bytes_before(unit + 1) - self._bytes_before(unit), unit_end - unit_begin
        raw_bytes = _share(unit_bytes, end - unit_begin, unit_symbols)
        raw_bytes -= _share(unit_bytes, begin - unit_begin, unit_symbols)
        span = Span(self._view, self._block, self._start + begin, self._start + end, closes, raw_bytes)
        return Sample(bos + 1 + taken + closes, bos, (span,), int(begin == unit_begin))

    def _symbols_before(self, unit: int) -> int:
        return int(self._symbol_ends[unit - 1]) if unit else 0

    def _bytes_before(self, unit: int) -> int:
        return int(self._raw_ends[unit - 1]) if unit else 0


def _take(left: int, ends: bool, space: int) -> int | None:
    """How many of ``left`` symbols go into ``space``, with a close mark after the last where the document ends.

    None if there are symbols and none goes in. The last symbol never parts from its close mark.
    """
    taken = left if left + ends <= space else min(space, left - ends)
    return taken if taken >= min(left, 1) else None


def _share(raw_bytes: int, symbols: int, of: int) -> int:
    """The raw bytes that the first ``symbols`` symbols stand for, in proportion."""
    return raw_bytes * symbols // of if of else 0
