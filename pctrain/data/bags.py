"""Bags: a view whose symbols are runs of another view's symbols, each of which takes one position.

The bags of a document have a fixed number of its symbols (the last has what is left), or are the units of a view, cut
where they are longer than ``most``. Marks are never in a bag.

In *Efficient Pre-Training with Token Superposition* (arXiv 2605.06546) bags have equal lengths.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Alignment
from pcdata.dataset.vocab import PAD
from pctrain.data.mixture import RAW
from pctrain.data.units import BlockUnits


class BagView(NamedTuple):
    """How a view of bags is made."""

    number: int
    """Its number among the views."""
    source: int
    """The number of the view whose symbols it groups."""
    most: int
    """The most symbols of a bag."""
    units: str
    """The view of the dataset whose units are the bags; empty: bags of ``most`` symbols."""


class Sources(Protocol):
    """What bags are made of, by block; as in ``Documents``."""

    def column(self, view: int, block: int) -> NDArray[Any]: ...
    def offsets(self, view: int, block: int) -> NDArray[np.int64]: ...
    def units(self, name: str, block: int) -> BlockUnits: ...


class Bags:
    """The bags of one dataset, by block."""

    def __init__(self, view: BagView, sources: Sources) -> None:
        self.view = view
        self._sources = sources
        self._columns: dict[int, BagColumn] = {}

    def forget(self) -> None:
        """Drop the cached blocks."""
        self._columns.clear()

    def column(self, block: int) -> BagColumn:
        if block not in self._columns:
            most, source, units_of = self.view.most, self.view.source, self.view.units
            if units_of:
                units = self._sources.units(units_of, block)
                self._columns[block] = bags_of(units.raw_ends.astype(np.int64), units.offsets, most)
            else:
                ends = self._sources.offsets(source, block)[1:]
                self._columns[block] = bags_of(ends, np.arange(len(ends) + 1), most)
        return self._columns[block]

    def first_symbols(self, block: int) -> NDArray[Any]:
        """A copy of the first symbol of each bag."""
        symbols: NDArray[Any] = self._sources.column(self.view.source, block)[self.column(block).starts]
        return symbols

    def alignment(self, block: int, row: int) -> Alignment:
        """The ends of a document's units, in bags and in raw bytes."""
        assert self.view.units  # only these appear beside raw bytes
        units = self._sources.units(self.view.units, block)
        begin, end = units.offsets[row : row + 2]
        raw_ends = units.raw_ends[begin:end].astype(np.int64) - self._sources.offsets(RAW, block)[row]
        return Alignment(np.cumsum(-(-np.diff(raw_ends, prepend=0) // self.view.most)), raw_ends)

    def units_of(self, block: int, start: int, end: int, name: str) -> NDArray[np.int64]:
        """The number in the block of the unit of view ``name`` that each bag of raw bytes begins in."""
        raw_ends = self._sources.units(name, block).raw_ends
        starts = self.column(block).starts[start:end].astype(raw_ends.dtype)
        return np.searchsorted(raw_ends, starts, "right")

    def ids(self, block: int, start: int, end: int, first_id: int) -> NDArray[np.int32]:
        """The ids in the bags from ``start`` to ``end`` of a block; PAD where a bag has no more. [bags, most]"""
        column, source = self.column(block), self._sources.column(self.view.source, block)
        starts_B1, ends_B1 = (each[start:end, None].astype(np.int64) for each in (column.starts, column.ends))
        places_BS = starts_B1 + np.arange(self.view.most)
        ids_BS = source.take(places_BS, mode="clip").astype(np.int32) + np.int32(first_id)
        ids_BS[places_BS >= ends_B1] = PAD
        return ids_BS


class BagColumn(NamedTuple):
    """The bags of a block, in the column of their source."""

    starts: NDArray[np.unsignedinteger]
    ends: NDArray[np.unsignedinteger]
    """Exclusive."""
    offsets: NDArray[np.int64]
    """Where each document's bags begin among these, and where the last document's end."""


def bags_of(run_ends: NDArray[np.int64], run_offsets: NDArray[np.int64], most: int) -> BagColumn:
    """Cut runs into bags of at most ``most`` symbols; no bag crosses a run.

    ``run_ends`` are the exclusive ends of consecutive runs in the source's column (documents, or units), and
    ``run_offsets`` says where each document's runs begin among them.
    """
    lengths = np.diff(run_ends, prepend=0)
    counts = -(-lengths // most)
    last = np.cumsum(counts)  # bags up to the end of each run
    place = np.arange(last[-1] if len(last) else 0) - np.repeat(last - counts, counts)
    starts = np.repeat(run_ends - lengths, counts) + place * most
    ends = np.minimum(starts + most, np.repeat(run_ends, counts))
    narrow = np.min_scalar_type(int(run_ends[-1]) if len(run_ends) else 0)
    return BagColumn(starts.astype(narrow), ends.astype(narrow), np.append(0, last)[run_offsets])
