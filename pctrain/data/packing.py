"""Documents into rows: which symbols a row holds, found by arithmetic on lengths alone.

So every rank can lay out all rows of a global batch, which costs microseconds, and fill (``filling``) only its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pctrain.data.batch import BatchStats
from pctrain.data.documents import Documents
from pctrain.data.mixture import RAW, Appearance, Mixture, Odds
from pctrain.data.showing import Sample, Showing, show

_LEAST_SAMPLE = 2
"""An open mark and a symbol."""


@dataclass(frozen=True)
class Row:
    """The layout of one row: its samples, end to end; what is left is padding."""

    samples: list[Sample] = field(default_factory=list)
    begun: list[Appearance] = field(default_factory=list)
    """Of the documents that begin in it."""

    @property
    def length(self) -> int:
        return sum(sample.length for sample in self.samples)


class Packer:
    """Cuts the stream of documents into rows, in order."""

    def __init__(self, documents: Documents, mixture: Mixture, row_symbols: int, draw: int = 0) -> None:
        self._documents = documents
        self._mixture = mixture
        self._row_symbols = row_symbols
        self.draw = draw
        """The document in progress, or the next one."""
        self.showing: Showing | None = None
        """The document in progress; None between two."""

    def go_on(self, appearance: Appearance, offset_symbols: int) -> Showing:
        """Take up the current document where an earlier run left it."""
        document = self._documents.document(self.draw)
        self.showing = show(document, appearance, offset_symbols, self._row_symbols)
        return self.showing

    def row(self, odds: Odds) -> Row:
        """Lay out the next row; the appearance of documents that begin in it is drawn with ``odds``."""
        row = Row()
        room = self._row_symbols
        while room >= _LEAST_SAMPLE and (sample := self._place(room, odds, row.begun)) is not None:
            row.samples.append(sample)
            room -= sample.length
        return row

    def _place(self, room: int, odds: Odds, begun: list[Appearance]) -> Sample | None:
        showing = self.showing
        if showing is None:
            document = self._documents.document(self.draw)
            showing = show(document, self._mixture.appearance(odds, document.dice), 0, self._row_symbols)
        sample = showing.place(room)
        if sample is None:  # a document that has not begun is drawn again in the next row, perhaps with other odds
            return None
        if self.showing is None:
            begun.append(showing.appearance)
        self.showing = None if showing.done else showing
        self.draw += showing.done
        return sample


def stats_of(rows: Sequence[Row], seq_len: int, n_views: int) -> BatchStats:
    """Add up the rows of a global batch; ``n_views`` includes raw."""
    documents, symbols = [0] * n_views, [0] * n_views
    begun = pairs = unpaired_units = raw_bytes = compressed_bytes = padding = 0
    for row in rows:
        begun += len(row.begun)
        padding += max(0, seq_len - row.length)
        for appearance in row.begun:
            for view in appearance:
                documents[view] += 1
        for sample in row.samples:
            pairs += len(sample.spans) > 1
            unpaired_units += sample.unpaired_units
            for span in sample.spans:
                symbols[span.view] += span.end - span.start
                if span.view == RAW:
                    raw_bytes += span.raw_bytes
                else:
                    compressed_bytes += span.raw_bytes
    return BatchStats(
        rows=len(rows),
        documents=begun,
        documents_V=tuple(documents),
        pairs=pairs,
        unpaired_units=unpaired_units,
        symbols_V=tuple(symbols),
        raw_bytes=raw_bytes,
        compressed_bytes=compressed_bytes,
        padding=padding,
    )
