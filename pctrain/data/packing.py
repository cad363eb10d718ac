"""Documents into rows: which symbols a row holds, found by arithmetic on lengths alone.

So every rank can lay out all rows of a global batch, which costs microseconds, and fill (``filling``) only its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pctrain.data.batch import BatchStats
from pctrain.data.mixture import RAW, Appearance, How, Mixture, Odds
from pctrain.data.pieces import Piece, Sample, Showing, Span
from pctrain.data.showing import WHOLE, Fresh, show
from pctrain.data.stream import Stream

_LEAST_SAMPLE = 2
"""An open mark and a symbol."""


class Begun(NamedTuple):
    """A document that begins in a row."""

    dataset: int
    appearance: Appearance
    passed_over: int
    """Documents left out before it."""


@dataclass(frozen=True)
class Row:
    """The layout of one row: its pieces of documents, end to end; what is left is padding."""

    pieces: list[Piece] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)

    @property
    def samples(self) -> Iterator[Sample]:
        return (sample for piece in self.pieces for sample in piece.samples)

    @property
    def length(self) -> int:
        return sum(piece.length for piece in self.pieces)


class Packer:
    """Cuts the stream of documents into rows, in order."""

    def __init__(self, stream: Stream, mixture: Mixture, row_symbols: int, fresh: Fresh = WHOLE) -> None:
        self._stream = stream
        self._fresh = fresh
        self._mixture = mixture
        self._row_symbols = row_symbols
        self.showing: Showing | None = None
        """The document in progress; None between two."""

    def go_on(self, dataset: int, appearance: Appearance, offset_symbols: int) -> Showing:
        """Take up the document in progress where an earlier run left it."""
        document = self._stream.go_on(dataset)
        self.showing = show(document, appearance, offset_symbols, self._row_symbols, self._fresh)
        return self.showing

    def row(self, odds: Odds) -> Row:
        """Lay out the next row; the appearance of documents that begin in it is drawn with ``odds``."""
        row = Row()
        room = self._row_symbols
        while room >= _LEAST_SAMPLE and (piece := self._place(room, odds, row.begun)) is not None:
            row.pieces.append(piece)
            room -= piece.length
        return row

    def _place(self, room: int, odds: Odds, begun: list[Begun]) -> Piece | None:
        showing = self.showing
        if showing is None:
            document = self._stream.peek().document
            appearance = self._mixture.appearance(odds, document.dice)
            showing = show(document, appearance, 0, self._row_symbols, self._fresh)
        piece = showing.place(room)
        if piece is None:  # a document that has not begun is drawn again in the next row, perhaps with other odds
            return None
        if self.showing is None:
            passed_over = self._stream.begin()
            assert self._stream.dataset is not None
            begun.append(Begun(self._stream.dataset, showing.appearance, passed_over))
        if showing.done:
            self._stream.end()
        self.showing = None if showing.done else showing
        return piece


def stats_of(rows: Sequence[Row], seq_len: int, n_views: int, n_datasets: int) -> BatchStats:
    """Add up the rows of a global batch; ``n_views`` includes raw."""
    documents_D = [0] * n_datasets
    documents_V, symbols_V, bytes_V = ([0] * n_views for _ in range(3))
    passed_over = spliced = pairs = cut_pairs = paired_units = paired_bytes = unpaired_units = unpaired_bytes = 0
    for dataset, appearance, skipped in (begun for row in rows for begun in row.begun):
        documents_D[dataset] += 1
        passed_over += skipped
        if appearance.how is How.SPLICE:
            spliced += 1
        else:
            for view in appearance.views:
                documents_V[view] += 1
    for _, samples, paired, unpaired, alone_bytes in (piece for row in rows for piece in row.pieces):
        spans = [span for sample in samples for span in sample.spans]
        for span in spans:
            symbols_V[span.view] += span.end - span.start
            bytes_V[span.view] += span.raw_bytes
        if paired:
            raw, other = sorted(spans, key=_view)
            pairs += 1
            cut_pairs += raw.end - raw.start != other.raw_bytes
            paired_units += paired
            paired_bytes += other.raw_bytes
        unpaired_units += unpaired
        unpaired_bytes += alone_bytes
    return BatchStats(
        positions=len(rows) * seq_len,
        documents=sum(documents_D),
        documents_D=tuple(documents_D),
        passed_over=passed_over,
        documents_V=tuple(documents_V),
        spliced=spliced,
        pairs=pairs,
        cut_pairs=cut_pairs,
        paired_units=paired_units,
        paired_bytes=paired_bytes,
        unpaired_units=unpaired_units,
        unpaired_bytes=unpaired_bytes,
        symbols_V=tuple(symbols_V),
        raw_bytes=bytes_V[RAW],
        compressed_bytes=sum(bytes_V) - bytes_V[RAW],
        padding=sum(max(0, seq_len - row.length) for row in rows),
    )


def _view(span: Span) -> int:
    return span.view
