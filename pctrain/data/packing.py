"""Documents into rows: which symbols a row holds, found by arithmetic on lengths alone.

So every rank can lay out all rows of a global batch, which costs microseconds, and fill (``filling``) only its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from pctrain.data.batch import BatchStats
from pctrain.data.mixture import RAW, Appearance, How, Mixture, Odds
from pctrain.data.pieces import Begun, Row, Showing
from pctrain.data.showing import WHOLE, Fresh, show
from pctrain.data.stream import Stream

_LEAST_SAMPLE = 2
"""An open mark and a symbol."""


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
        row = Row(self._row_symbols)
        while row.room >= _LEAST_SAMPLE and self._place(row, odds):
            pass
        return row

    def _place(self, row: Row, odds: Odds) -> bool:
        showing = self.showing
        if showing is not None:
            if not showing.place(row):
                return False
        else:
            document = self._stream.peek()
            appearance = self._mixture.appearance(odds, document.dice)
            showing = show(document, appearance, 0, self._row_symbols, self._fresh)
            if not showing.place(row):  # it has not begun: it is drawn again in the next row, perhaps with other odds
                return False
            dataset, passed_over = self._stream.begin()
            row.begun.append(Begun(dataset, showing.appearance, passed_over))
            self.showing = showing
        if showing.done:
            self._stream.end()
            self.showing = None
        return True


def stats_of(rows: Sequence[Row], seq_len: int, n_views: int, n_datasets: int) -> BatchStats:
    """Add up the rows of a global batch; ``n_views`` includes raw."""
    documents_D = [0] * n_datasets
    documents_V, symbols_V, bytes_V = ([0] * n_views for _ in range(3))
    begun = [one for row in rows for one in row.begun]
    for dataset, appearance, _ in begun:
        documents_D[dataset] += 1
        if appearance.how is not How.SPLICE:
            for view in appearance.views:
                documents_V[view] += 1
    for row in rows:
        for _, view, _, start, end, _, _, _, raw_bytes in row.spans:
            symbols_V[view] += end - start
            bytes_V[view] += raw_bytes
    paired = [pair for row in rows for pair in row.paired]
    unpaired = [unit for row in rows for unit in row.unpaired]
    return BatchStats(
        positions=len(rows) * seq_len,
        documents=len(begun),
        documents_D=tuple(documents_D),
        passed_over=sum(one.passed_over for one in begun),
        documents_V=tuple(documents_V),
        spliced=sum(one.appearance.how is How.SPLICE for one in begun),
        pairs=len(paired),
        cut_pairs=sum(raw.end - raw.start != compressed.raw_bytes for raw, compressed, _ in paired),
        paired_units=sum(pair.units for pair in paired),
        paired_bytes=sum(pair.compressed.raw_bytes for pair in paired),
        unpaired_units=sum(unit.begins for unit in unpaired),
        unpaired_bytes=sum(unit.raw_bytes for unit in unpaired),
        symbols_V=tuple(symbols_V),
        raw_bytes=bytes_V[RAW],
        compressed_bytes=sum(bytes_V) - bytes_V[RAW],
        padding=sum(max(0, row.room - 1) for row in rows),
    )
