"""Places one document into rows: how much of it fits into what is left of a row, computed from lengths.

No symbol is placed twice. Spliced documents are in ``splice``.
"""

from __future__ import annotations

from typing import NamedTuple

from pctrain.data.documents import Document
from pctrain.data.draws import Purpose
from pctrain.data.layout import Paired, Placement, Row, Span, Unpaired, proportion, span_of, take
from pctrain.data.mixture import RAW, Appearance, Arrangement, single
from pctrain.data.splice import Splice


class ShortSampling(NamedTuple):
    """Which of the documents that appear raw alone are cut into short pieces (``DataConfig.short_sample_share``)."""

    share: float
    most_bytes: int

    def cuts(self, document: Document) -> bool:
        return self.share > 0 and document.chance(Purpose.FRESH, 0) < self.share

    def piece_bytes(self, document: Document, offset: int) -> int:
        """The length of the piece that begins at ``offset``: a function of the offset, so a cursor need not store
        it."""
        return 1 + int(document.chance(Purpose.FRESH, 1 + offset) * self.most_bytes)


NEVER_SHORT = ShortSampling(0.0, 1)


def placement_of(
    document: Document,
    appearance: Appearance,
    offset_symbols: int,
    row_symbols: int,
    short: ShortSampling = NEVER_SHORT,
) -> Placement:
    """Begin a document, or continue at ``offset_symbols``. An empty one is raw, whatever its appearance."""
    if not document.raw_bytes:
        return SingleView(document, single(RAW), offset_symbols)
    if appearance.arrangement is Arrangement.SINGLE:
        cut = appearance.views == (RAW,) and short.cuts(document)
        return (
            ShortSamples(document, offset_symbols, short) if cut else SingleView(document, appearance, offset_symbols)
        )
    if appearance.arrangement is Arrangement.SPLICE:
        return Splice(document, appearance, offset_symbols)
    return Pair(document, appearance, offset_symbols, row_symbols)


class SingleView:
    """A document in one view. It may be cut at any symbol."""

    def __init__(self, document: Document, appearance: Appearance, offset_symbols: int) -> None:
        self.appearance = appearance
        self._document = document
        (self._view,) = appearance.views
        self._start, end = document.extent(self._view)
        self._raw_bytes = document.raw_bytes
        self.size_symbols = size = end - self._start
        self.offset_symbols = offset_symbols
        self._bytes_shown = proportion(self._raw_bytes, offset_symbols, size)
        self.done = False

    def place(self, row: Row, most: int | None = None) -> bool:
        """``most``: how much of the room in the row to use."""
        room = row.room if most is None else min(row.room, most)
        document, begin, size = self._document, self.offset_symbols, self.size_symbols
        bos = begin == 0 and document.at_byte_0
        taken = take(size - begin, document.at_end, room - bos - 1)
        if taken is None:
            return False
        end = self.offset_symbols = begin + taken
        self.done = done = end == size
        closes = done and document.at_end
        before = self._bytes_shown
        self._bytes_shown = shown = proportion(self._raw_bytes, end, size)
        start, raw_bytes = self._start, shown - before
        row.spans.append(span_of(document, self._view, start + begin, start + end, True, bos, closes, raw_bytes))
        row.room -= bos + 1 + taken + closes
        return True


class ShortSamples(SingleView):
    """A raw document in short pieces, each a sample of its own, as many in a row as fit."""

    def __init__(self, document: Document, offset_symbols: int, short: ShortSampling) -> None:
        super().__init__(document, single(RAW), offset_symbols)
        self._short = short

    def place(self, row: Row, most: int | None = None) -> bool:
        most = self._short.piece_bytes(self._document, self.offset_symbols)
        closes = self._document.at_end and self.size_symbols - self.offset_symbols <= most
        bos = self._document.at_byte_0 and self.offset_symbols == 0
        return super().place(row, bos + 1 + most + closes)


class Pair:
    """A document raw and in one view: both sides cover the same bytes, in whole units, in one row.

    The sides are one sample, or two in parallel. A unit that does not fit into an empty row together with its raw bytes
    appears compressed alone, and may be cut like a ``SingleView``.
    """

    def __init__(self, document: Document, appearance: Appearance, offset_symbols: int, row_symbols: int) -> None:
        self.appearance = appearance
        self._samples = 2 if appearance.arrangement is Arrangement.PARALLEL else 1
        self._document = document
        self._view = max(appearance.views)
        self._raw_start, _ = document.extent(RAW)
        self._start, _ = document.extent(self._view)
        points = document.alignment(self._view)
        self._symbol_ends, self._raw_ends = points.symbol_ends, points.raw_ends
        self._costs = points.symbol_ends + points.raw_ends
        self._at_byte_0, self._at_end = document.at_byte_0, document.at_end
        self._row_symbols = row_symbols
        self._last = len(self._costs) - 1
        self.size_symbols = int(self._symbol_ends[-1])
        self._cost = self.size_symbols + document.raw_bytes
        self._begin_unit(int(self._symbol_ends.searchsorted(offset_symbols, "right")))
        self.offset_symbols = offset_symbols

    def _begin_unit(self, unit: int) -> None:
        """Continue with this unit."""
        self._unit = unit
        self._symbols, self._bytes = self._ends(unit)
        """Before the unit."""
        self.done = unit > self._last

    def _ends(self, unit: int) -> tuple[int, int]:
        """Symbols and bytes before a unit."""
        return (int(self._symbol_ends[unit - 1]), int(self._raw_ends[unit - 1])) if unit else (0, 0)

    def place(self, row: Row) -> bool:
        bos = self._at_byte_0 and self.offset_symbols == 0
        if self.offset_symbols > self._symbols:
            return self._place_unpaired(row, bos)
        opening = 2 + bos * self._samples
        end_unit = self._units_within(row.room - opening)
        if end_unit > self._unit:
            self._place_pair(row, end_unit, bos)
            return True
        if self._units_within(self._row_symbols - opening) > self._unit:
            return False
        return self._place_unpaired(row, bos)

    def _units_within(self, space: int) -> int:
        """The end (exclusive) of the units that fit, from the current one on, with a close mark for each side."""
        begin = self._symbols + self._bytes
        if self._cost - begin + 2 * self._at_end <= space:
            return self._last + 1
        return min(int(self._costs.searchsorted(begin + space, "right")), self._last)

    def _place_pair(self, row: Row, end_unit: int, bos: bool) -> None:
        n_units, begin, raw_begin = end_unit - self._unit, self._symbols, self._bytes
        self._begin_unit(end_unit)
        end, raw_end = self._symbols, self._bytes
        self.offset_symbols = end
        n_bytes = raw_end - raw_begin
        raw_first, apart = self.appearance.views[0] == RAW, self._samples == 2
        raw = self._span(RAW, raw_begin, raw_end, raw_first or apart, bos, n_bytes)
        compressed = self._span(self._view, begin, end, not raw_first or apart, bos, n_bytes)
        row.spans += (raw, compressed) if raw_first else (compressed, raw)
        row.paired.append(Paired(raw, compressed, n_units))
        row.room -= raw.length + compressed.length

    def _place_unpaired(self, row: Row, bos: bool) -> bool:
        unit_begin, raw_begin, begin = self._symbols, self._bytes, self.offset_symbols
        unit_end, raw_end = self._ends(self._unit + 1)
        taken = take(unit_end - begin, self._unit == self._last and self._at_end, row.room - bos - 1)
        if taken is None:
            return False
        end = self.offset_symbols = begin + taken
        unit_bytes, unit_symbols = raw_end - raw_begin, unit_end - unit_begin
        raw_bytes = proportion(unit_bytes, end - unit_begin, unit_symbols)
        raw_bytes -= proportion(unit_bytes, begin - unit_begin, unit_symbols)
        if end == unit_end:
            self._begin_unit(self._unit + 1)
        span = self._span(self._view, begin, end, True, bos, raw_bytes)
        row.spans.append(span)
        row.unpaired.append(Unpaired(begin == unit_begin, raw_bytes))
        row.room -= span.length
        return True

    def _span(self, view: int, begin: int, end: int, begins: bool, bos: bool, raw_bytes: int) -> Span:
        """``bos`` applies if the span begins a sample. It closes if the document ends here."""
        closes = self.done and self._at_end
        start = self._raw_start if view == RAW else self._start
        return span_of(self._document, view, start + begin, start + end, begins, begins and bos, closes, raw_bytes)
