"""Arrays beside the five of every batch, for methods that need them: what bags hold, and units of symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.vocab import PAD
from pctrain.data.bags import BagView
from pctrain.data.batch import BAGS, NO_UNIT, SUFFIXES, UNITS
from pctrain.data.layout import Row, Span
from pctrain.data.mixture import RAW

# R rows, C symbols of a row (seq_len + 1), S symbols of a bag


class Extras:
    """Makes the arrays that are asked for."""

    def __init__(
        self,
        row_symbols: int,
        first_ids: Sequence[int],
        views: Sequence[str],
        bags: BagView | None,
        units: str,
        suffixes: bool,
    ) -> None:
        """``first_ids``: the id of each view's symbol 0, raw bytes first; ``views``: the names of the others;
        ``units``: the view whose units are numbered, if any; ``suffixes``: whether its symbols are told too, one per
        unit."""
        self._row_symbols, self._first_ids = row_symbols, first_ids
        self._bags, self._units, self._suffixes = bags, units, suffixes
        self._view_of_units = 1 + views.index(units) if units in views else None

    def fill(self, rows: Sequence[Row]) -> dict[str, NDArray[np.int32]]:
        """New arrays by name, one line per row. There are no bags if no row has any."""
        extras: dict[str, NDArray[np.int32]] = {}
        if self._bags is not None and any(span.view == self._bags.number for row in rows for span in row.spans):
            extras[BAGS] = self._bags_of(rows, self._bags)
        if self._units:
            extras[UNITS] = self._units_of(rows)
        if self._suffixes:
            extras[SUFFIXES] = self._suffixes_of(rows)
        return extras

    def _bags_of(self, rows: Sequence[Row], bags: BagView) -> NDArray[np.int32]:
        bags_RCS = np.full((len(rows), self._row_symbols, bags.most), PAD, np.int32)
        for line, row in enumerate(rows):
            for span, begin, end in _symbols(row):
                if span.documents.bags is not None and span.view == bags.number:
                    first_id = self._first_ids[bags.source]
                    bags_RCS[line, begin:end] = span.documents.bags.ids(span.block, span.start, span.end, first_id)
        return bags_RCS

    def _units_of(self, rows: Sequence[Row]) -> NDArray[np.int32]:
        units_RC = np.full((len(rows), self._row_symbols), NO_UNIT, np.int32)
        for line, row in enumerate(rows):
            n_units = 0
            for sides in _sides(row):
                parts = [(begin, end, numbers) for span, begin, end in sides for numbers in self._numbers(span)]
                in_block = np.concatenate([np.empty(0, np.int64), *(numbers for _, _, numbers in parts)])
                different, in_row = np.unique(in_block, return_inverse=True)
                for begin, end, numbers in parts:
                    units_RC[line, begin:end] = n_units + in_row[: len(numbers)]
                    in_row = in_row[len(numbers) :]
                n_units += len(different)
        return units_RC

    def _numbers(self, span: Span) -> Iterator[NDArray[np.int64]]:
        """The number in its block of each symbol's unit; nothing for other views."""
        if span.view == RAW:
            yield span.documents.units(self._units, span.block).of_raw(span.start, span.end)
        elif self._bags is not None and span.view == self._bags.number:
            if span.documents.bags is not None and self._bags.source == RAW:
                yield span.documents.bags.units_of(span.block, span.start, span.end, self._units)
        elif span.view == self._view_of_units:
            yield span.documents.units(self._units, span.block).of_symbols(span.start, span.end)

    def _suffixes_of(self, rows: Sequence[Row]) -> NDArray[np.int32]:
        suffixes_RC = np.full((len(rows), self._row_symbols), NO_UNIT, np.int32)
        for line, row in enumerate(rows):
            for span, begin, end in _symbols(row):
                if span.view == RAW:
                    units = span.documents.units(self._units, span.block)
                    before = units.of_raw(span.start, span.end) - 1
                    symbols = span.documents.symbols(self._units, span.block)[before]
                    is_whole = before >= units.first_from(span.start)
                    suffixes_RC[line, begin:end][is_whole] = symbols[is_whole]
        return suffixes_RC


def _sides(row: Row) -> Iterator[list[tuple[Span, int, int]]]:
    """As ``_symbols``, with the two spans of a pair together."""
    pair_of = {id(side): id(pair) for pair in row.paired for side in (pair.raw, pair.compressed)}
    for _, spans in groupby(_symbols(row), lambda each: pair_of.get(id(each[0]), id(each[0]))):
        yield [*spans]


def _symbols(row: Row) -> Iterator[tuple[Span, int, int]]:
    """Each span, and where in the row its symbols are, without marks."""
    at = 0
    for span in row.spans:
        begin = at + span.bos + 1
        end = begin + span.end - span.start
        yield span, begin, end
        at = end + span.closes
