"""One document on its way into rows: how much of it fits into what is left of a row, by arithmetic on lengths.

No symbol is shown twice. Spliced documents are in ``splice``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pctrain.data.documents import Document
from pctrain.data.hashing import Purpose
from pctrain.data.mixture import RAW, Appearance, How, alone
from pctrain.data.pieces import Piece, Sample, Showing, Span, proportion, take
from pctrain.data.splice import Splice


class Fresh(NamedTuple):
    """Which documents shown raw alone are cut into short pieces (``DataConfig.fresh_share``)."""

    share: float
    most_bytes: int

    def cuts(self, document: Document) -> bool:
        return document.chance(Purpose.FRESH, 0) < self.share

    def piece_bytes(self, document: Document, offset: int) -> int:
        """The length of the piece that begins at ``offset``: a function of the place, so a cursor need not keep it."""
        return 1 + int(document.chance(Purpose.FRESH, 1 + offset) * self.most_bytes)


WHOLE = Fresh(0.0, 1)


def show(
    document: Document, appearance: Appearance, offset_symbols: int, row_symbols: int, fresh: Fresh = WHOLE
) -> Showing:
    """Begin a document, or go on at ``offset_symbols``. An empty one is shown raw, whatever its appearance."""
    start, end = document.extent(RAW)
    if start == end:
        return Solo(document, alone(RAW), offset_symbols)
    if appearance.how is How.ALONE:
        cut = appearance.views == (RAW,) and fresh.cuts(document)
        return Pieces(document, offset_symbols, fresh) if cut else Solo(document, appearance, offset_symbols)
    if appearance.how is How.SPLICE:
        return Splice(document, appearance, offset_symbols)
    return Pair(document, appearance, offset_symbols, row_symbols)


class Solo:
    """A document in one view. It may be cut at any symbol."""

    def __init__(self, document: Document, appearance: Appearance, offset_symbols: int) -> None:
        self.appearance = appearance
        self._documents = document.documents
        (view,) = appearance.views
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

    def place(self, room: int) -> Piece | None:
        begin, size = self.offset_symbols, self.size_symbols
        bos = self._at_byte_0 and begin == 0
        taken = take(size - begin, self._at_end, room - bos - 1)
        if taken is None:
            return None
        end = self.offset_symbols = begin + taken
        self.done = end == size
        closes = self.done and self._at_end
        raw_bytes = proportion(self._raw_bytes, end, size) - proportion(self._raw_bytes, begin, size)
        start = self._start
        span = Span(self._documents, self._view, self._block, start + begin, start + end, closes, raw_bytes)
        length = bos + 1 + taken + closes
        return Piece(length, (Sample(length, bos, (span,)),))


class Pieces(Solo):
    """A raw document in short pieces, each a sample of its own, as many in a row as fit."""

    def __init__(self, document: Document, offset_symbols: int, fresh: Fresh) -> None:
        super().__init__(document, alone(RAW), offset_symbols)
        self._document, self._fresh = document, fresh

    def place(self, room: int) -> Piece | None:
        most = self._fresh.piece_bytes(self._document, self.offset_symbols)
        closes = self._at_end and self.size_symbols - self.offset_symbols <= most
        bos = self._at_byte_0 and self.offset_symbols == 0
        return super().place(min(room, bos + 1 + most + closes))


class Pair:
    """A document raw and in one view, side by side: both sides cover the same bytes, in whole units, in one row.

    The sides are one sample, or in parallel two. A unit that does not fit into an empty row beside its raw bytes is
    shown compressed alone, cut like a solo.
    """

    def __init__(self, document: Document, appearance: Appearance, offset_symbols: int, row_symbols: int) -> None:
        self.appearance = appearance
        self._samples = 2 if appearance.how is How.PARALLEL else 1
        self._documents = document.documents
        self._view = max(appearance.views)
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

    def place(self, room: int) -> Piece | None:
        bos = self._at_byte_0 and self.offset_symbols == 0
        if self.offset_symbols > self._symbols_before(self._unit):
            return self._place_unpaired(room, bos)
        opening = 2 + bos * self._samples
        end_unit = self._units_within(room - opening)
        if end_unit > self._unit:
            return self._place_pair(end_unit, bos)
        if self._units_within(self._row_symbols - opening) > self._unit:
            return None
        return self._place_unpaired(room, bos)

    def _units_within(self, space: int) -> int:
        """The end (exclusive) of the units that fit, from the current one on; a close mark counts for each side."""
        begin = self._symbols_before(self._unit) + self._bytes_before(self._unit)
        if int(self._costs[-1]) - begin + 2 * self._at_end <= space:
            return self._last + 1
        return min(int(np.searchsorted(self._costs, begin + space, side="right")), self._last)

    def _place_pair(self, end_unit: int, bos: bool) -> Piece:
        n_units = end_unit - self._unit
        raw_begin, raw_end = self._bytes_before(self._unit), self._bytes_before(end_unit)
        begin, end = self.offset_symbols, self._symbols_before(end_unit)
        self._unit, self.offset_symbols = end_unit, end
        self.done = end_unit > self._last
        raw = self._span(RAW, self._raw_start, raw_begin, raw_end, raw_end - raw_begin)
        compressed = self._span(self._view, self._start, begin, end, raw_end - raw_begin)
        sides = (raw, compressed) if self.appearance.views[0] == RAW else (compressed, raw)
        spans = (sides,) if self._samples == 1 else ((sides[0],), (sides[1],))
        samples = tuple(_sample(bos, each) for each in spans)
        return Piece(sum(sample.length for sample in samples), samples, paired_units=n_units)

    def _place_unpaired(self, room: int, bos: bool) -> Piece | None:
        unit, begin = self._unit, self.offset_symbols
        unit_begin, unit_end = self._symbols_before(unit), self._symbols_before(unit + 1)
        taken = take(unit_end - begin, unit == self._last and self._at_end, room - bos - 1)
        if taken is None:
            return None
        end = self.offset_symbols = begin + taken
        if end == unit_end:
            self._unit += 1
        self.done = self._unit > self._last
        unit_bytes, unit_symbols = self._bytes_before(unit + 1) - self._bytes_before(unit), unit_end - unit_begin
        raw_bytes = proportion(unit_bytes, end - unit_begin, unit_symbols)
        raw_bytes -= proportion(unit_bytes, begin - unit_begin, unit_symbols)
        sample = _sample(bos, (self._span(self._view, self._start, begin, end, raw_bytes),))
        return Piece(sample.length, (sample,), 0, int(begin == unit_begin), raw_bytes)

    def _span(self, view: int, column: int, begin: int, end: int, raw_bytes: int) -> Span:
        """It closes if the document ends with what is placed."""
        closes = self.done and self._at_end
        return Span(self._documents, view, self._block, column + begin, column + end, closes, raw_bytes)

    def _symbols_before(self, unit: int) -> int:
        return int(self._symbol_ends[unit - 1]) if unit else 0

    def _bytes_before(self, unit: int) -> int:
        return int(self._raw_ends[unit - 1]) if unit else 0


def _sample(bos: bool, spans: tuple[Span, ...]) -> Sample:
    return Sample(bos + sum(1 + span.end - span.start + span.closes for span in spans), bos, spans)
