"""Documents into rows: which symbols a row holds, computed from lengths alone.

So every rank can lay out all rows of a global batch, in microseconds, and fill (``filling``) only its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pctrain.data.bags import BagView
from pctrain.data.batch import BatchStats
from pctrain.data.documents import Document, symbols_in_bags
from pctrain.data.layout import BegunDocument, Placement, Row
from pctrain.data.mixture import RAW, Appearance, Arrangement, Mixture, Odds, single
from pctrain.data.placement import NEVER_SHORT, ShortSampling, placement_of
from pctrain.data.stream import Stream

_LEAST_SAMPLE = 2
"""An open mark and a symbol."""


class Packer:
    """Cuts the stream of documents into rows, in order."""

    def __init__(self, stream: Stream, row_symbols: int, short: ShortSampling = NEVER_SHORT) -> None:
        self._stream = stream
        self._short = short
        self._row_symbols = row_symbols
        self.placement: Placement | None = None
        """The document in progress; None between two."""
        self._document: Document | None = None
        """The same."""

    def resume(self, dataset: int, appearance: Appearance, offset_symbols: int) -> Placement:
        """Continue the document in progress where an earlier run left it."""
        self._document = document = self._stream.resume(dataset)
        self.placement = placement_of(document, appearance, offset_symbols, self._row_symbols, self._short)
        return self.placement

    def leave_bags(self, bags: BagView) -> None:
        """Continue a document that is in progress in bags in the view that they are made of, where the last bag
        ended."""
        if self.placement is not None and self.placement.appearance == single(bags.number):
            assert self._document is not None
            offset = symbols_in_bags(self._document, bags, self.placement.offset_symbols)
            self.placement = placement_of(self._document, single(bags.source), offset, self._row_symbols)

    def row(self, mixture: Mixture, odds: Odds) -> Row:
        """Lay out the next row; ``mixture`` draws the appearance of documents that begin in it, with ``odds``."""
        row = Row(self._row_symbols)
        while row.room >= _LEAST_SAMPLE and self._place(row, mixture, odds):
            pass
        return row

    def _place(self, row: Row, mixture: Mixture, odds: Odds) -> bool:
        placement = self.placement
        if placement is not None:
            if not placement.place(row):
                return False
        else:
            document = self._stream.peek()
            appearance = mixture.appearance(odds, document.appearance_draws)
            placement = placement_of(document, appearance, 0, self._row_symbols, self._short)
            if not placement.place(row):  # not begun: drawn again in the next row, perhaps with other odds
                return False
            dataset, passed_over = self._stream.begin()
            row.begun.append(BegunDocument(dataset, placement.appearance, passed_over))
            self.placement, self._document = placement, document
        if placement.done:
            self._stream.end()
            self.placement = None
        return True


def stats_of(rows: Sequence[Row], seq_len: int, n_views: int, n_datasets: int) -> tuple[BatchStats, tuple[int, ...]]:
    """Add up the rows of a global batch, and list its documents; ``n_views`` includes raw."""
    held: dict[int, int] = {}
    documents_D = [0] * n_datasets
    documents_V, symbols_V, bytes_V = ([0] * n_views for _ in range(3))
    begun = [one for row in rows for one in row.begun]
    for dataset, appearance, _ in begun:
        documents_D[dataset] += 1
        if appearance.arrangement is not Arrangement.SPLICE:
            for view in appearance.views:
                documents_V[view] += 1
    for row in rows:
        for _, document, view, _, start, end, _, _, _, raw_bytes in row.spans:
            symbols = end - start
            symbols_V[view] += symbols
            bytes_V[view] += raw_bytes
            held[document] = held.get(document, 0) + symbols
    paired = [pair for row in rows for pair in row.paired]
    unpaired = [unit for row in rows for unit in row.unpaired]
    stats = BatchStats(
        positions=len(rows) * seq_len,
        batches=1,
        batches_without_raw=int(not symbols_V[RAW]),
        effective_documents=_effective_number(held.values()),
        documents=len(begun),
        documents_D=tuple(documents_D),
        passed_over=sum(one.passed_over for one in begun),
        documents_V=tuple(documents_V),
        spliced=sum(one.appearance.arrangement is Arrangement.SPLICE for one in begun),
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
    return stats, tuple(held)


def _effective_number(sizes: Collection[int]) -> float:
    """The inverse of Simpson's index: how many equal parts would be as mixed as these. 1 if there are none."""
    whole = sum(sizes)
    return whole**2 / sum(size**2 for size in sizes) if whole else 1.0
