"""A document that switches between its raw bytes and one view, at alignment points; no byte appears twice.

Each stretch begins with its own open mark, and a switch is only that mark. A close mark tells ``pctrain generate`` that
the text ends. If every stretch were closed, a model would learn to end raw text in the middle of a document. So only
the last stretch is closed, where the document ends.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from pctrain.data.documents import Document
from pctrain.data.draws import Purpose
from pctrain.data.layout import Row, Span, proportion, span_of, take
from pctrain.data.mixture import RAW, Appearance, Splicing

_PURPOSES = (Purpose.SPLICE_DRAW, Purpose.SPLICE_VIEW)


def switches(
    unit_bytes: NDArray[np.int64], anew: NDArray[np.float64], views: NDArray[np.float64], splicing: Splicing
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The units at which stretches begin, and whether each is compressed; ``anew`` and ``views`` are draws per unit.

    The view is drawn at the first unit, and again after each unit with a probability in proportion to its bytes, chosen
    so that stretches (between draws that differ) have the mean length. Each draw is compressed with probability
    ``share``, independently of earlier draws; so every byte is too.
    """
    share, mean_bytes = splicing
    bytes_between_draws = 2 * share * (1 - share) * mean_bytes  # 2 · share · (1 - share) of the draws change the view
    drawn = np.flatnonzero(np.append(True, anew[1:] * bytes_between_draws < unit_bytes[:-1]))
    compressed = views[drawn] < share
    changes = np.append(True, compressed[1:] != compressed[:-1])
    return drawn[changes], compressed[changes]


class Splice:
    """A spliced document. Offsets count the symbols of its stretches in order. It may be cut at any of them."""

    def __init__(self, document: Document, appearance: Appearance, offset_symbols: int) -> None:
        assert appearance.splicing is not None
        self.appearance = appearance
        self._document = document
        self._at_byte_0, self._at_end = document.at_byte_0, document.at_end
        view = max(appearance.views)
        points = document.alignment(view)
        anew, views = (document.chances(purpose, len(points.raw_ends)) for purpose in _PURPOSES)
        units, compressed = switches(np.diff(points.raw_ends, prepend=0), anew, views, appearance.splicing)
        raw, symbols = (
            np.append(np.append(0, ends)[units], ends[-1]) for ends in (points.raw_ends, points.symbol_ends)
        )
        sizes = np.where(compressed, np.diff(symbols), np.diff(raw))
        starts = np.where(compressed, document.extent(view)[0] + symbols[:-1], document.extent(RAW)[0] + raw[:-1])
        self._views: list[int] = np.where(compressed, view, RAW).tolist()
        self._starts: list[int] = starts.tolist()
        """Start of each stretch in the column of its view."""
        self._raw_bytes: list[int] = np.diff(raw).tolist()
        self._ends: list[int] = np.cumsum(sizes).tolist()
        """End of each stretch as an offset, exclusive."""
        self.size_symbols = self._ends[-1]
        self.offset_symbols = offset_symbols
        self._stretch = bisect_right(self._ends, offset_symbols)
        self.done = False

    def place(self, row: Row) -> bool:
        placed = len(row.spans)
        bos = self._at_byte_0 and self.offset_symbols == 0
        while not self.done and (span := self._place_stretch(row.room, len(row.spans) == placed, bos)) is not None:
            row.spans.append(span)
            row.room -= span.length
            bos = False
        return len(row.spans) > placed

    def _place_stretch(self, room: int, begins: bool, bos: bool) -> Span | None:
        """What fits of the stretch in progress; None if only marks would fit."""
        number, offset, end = self._stretch, self.offset_symbols, self._ends[self._stretch]
        ends_document = number == len(self._ends) - 1 and self._at_end
        taken = take(end - offset, ends_document, room - bos - 1)
        if taken is None:
            return None
        begin = self._ends[number - 1] if number else 0
        size, start, raw_bytes = end - begin, self._starts[number], self._raw_bytes[number]
        self.offset_symbols = offset + taken
        self._stretch += self.offset_symbols == end
        self.done = self._stretch == len(self._ends)
        shown, before = offset + taken - begin, offset - begin
        stands_for = proportion(raw_bytes, shown, size) - proportion(raw_bytes, before, size)
        closes, view = self.done and self._at_end, self._views[number]
        return span_of(self._document, view, start + before, start + shown, begins, bos, closes, stands_for)
