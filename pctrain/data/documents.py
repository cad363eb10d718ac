"""The documents of one dataset in the order they are drawn, endlessly: where each one's symbols are, and its random
draws. Nothing is copied, except for a placebo.

Documents that a filter leaves out keep their place in the order, and are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Alignment, DatasetError, Split
from pcdata.dataset.mapping import will_need
from pcdata.dataset.splitmix import fractions, key_of
from pctrain.data.bags import Bags, BagView
from pctrain.data.draws import Purpose, uniform
from pctrain.data.filter import Filter
from pctrain.data.mixture import RAW, AppearanceDraws
from pctrain.data.order import Order, Stretch
from pctrain.data.placebo import permuted
from pctrain.data.units import BlockUnits, block_units
from pctrain.errors import DataError

_STRETCH_DOCUMENTS = 4096
"""Documents looked up at once: enough to make the cost per document negligible, and still fast."""


class Documents:
    """Documents by draw. Views are by number: 0 is raw, 1 + i the i-th of ``view_names``."""

    def __init__(
        self,
        split: Split,
        view_names: Sequence[str],
        window_blocks: int,
        seed: int,
        only: Filter | None = None,
        *,
        first_number: int = 0,
        placebo: bool = False,
        bags: BagView | None = None,
    ) -> None:
        """``first_number``: the number of the first document, if the documents of several datasets are numbered
        together. ``placebo``: permute compressed symbols within each document, and the lengths of units. ``bags``: how
        a view that is not in the dataset is made."""
        self._split = split
        self.first_number = first_number
        split.random = True  # readahead is requested for what is used: here, and by the filler if raw bytes are rare
        self._filter = only or Filter({})
        self._view_names = view_names
        self._order = Order(split.block_documents, window_blocks, seed)
        self._seed = seed
        self._placebo = placebo
        self._lookup: _Lookup | None = None
        self._columns: dict[tuple[int, int], NDArray[Any]] = {}
        self._symbols: dict[tuple[str, int], NDArray[Any]] = {}
        self.bags = None if bags is None else Bags(bags, self)
        self._units: dict[tuple[str, int], BlockUnits] = {}
        self._kept: dict[int, NDArray[np.bool_]] = {}
        self._aligned: set[tuple[int, int]] = set()
        self._remembers: tuple[int, int] | None = None
        self.raw_is_rare = False
        """Whether few of a block's raw bytes are used, so that readahead is requested for each document."""

    def document(self, draw: int) -> Document:
        lookup = self._at(draw)
        return Document(lookup, draw - lookup.first_draw)

    def next_kept(self, draw: int) -> int:
        """The first draw from ``draw`` on whose document the filter keeps. Raises ``DataError`` if it keeps none."""
        if not self._filter:
            return draw
        end = draw + 2 * self._order.n_documents  # these contain a whole epoch, wherever they begin
        while draw < end:
            lookup = self._at(draw)
            kept = lookup.next_kept(draw)
            if kept is not None:
                return kept
            draw = lookup.end_draw
        raise DataError(self._filter.nothing_in(self._split))

    def forget(self) -> None:
        """Drop the cached blocks if the order has reached another window since. Call it only when all rows that were
        laid out are filled, because filling reads the cache."""
        if self._lookup is not None and self._lookup.window != self._remembers:
            self._remembers = self._lookup.window
            self._columns.clear()
            self._symbols.clear()
            if self.bags is not None:
                self.bags.forget()
            self._units.clear()
            self._kept.clear()
            self._aligned.clear()

    def kept_rows(self, block: int) -> NDArray[np.bool_]:
        """Which documents of a block the filter keeps."""
        if block not in self._kept:
            self._kept[block] = self._filter.rows(self._split.base(block))
        return self._kept[block]

    def column(self, view: int, block: int) -> NDArray[Any]:
        """All symbols of a block in one view, flat: a read-only view of the mapped file, or a placebo's copy. Of the
        view of bags, a copy of the first symbol of each."""
        column = self._columns.get((view, block))
        if column is None:
            column = self._columns[view, block] = self._new_column(view, block)
        return column

    def _new_column(self, view: int, block: int) -> NDArray[Any]:
        if view == RAW:
            return self._raw(block)
        if self.bags is not None and view == self.bags.view.number:
            return self.bags.first_symbols(block)
        return self.symbols(self.view_name(view), block)

    def symbols(self, name: str, block: int) -> NDArray[Any]:
        """All symbols of a block in a view of the dataset, as in ``column``."""
        if (name, block) not in self._symbols:
            symbols = self._checked_symbols(name, block)
            if self._placebo:
                offsets = self._split.view(name, block).symbol_offsets
                symbols = permuted(symbols, offsets, key_of(self._seed, Purpose.PLACEBO, block))
            self._symbols[name, block] = symbols
        return self._symbols[name, block]

    def offsets(self, view: int, block: int) -> NDArray[np.int64]:
        """Where each document of a block begins in its ``column``, and where the last ends."""
        if view == RAW:
            return self._split.base(block).raw_offsets
        if self.bags is not None and view == self.bags.view.number:
            return self.bags.column(block).offsets
        return self._split.view(self.view_name(view), block).symbol_offsets

    def units(self, name: str, block: int) -> BlockUnits:
        """Where the units of a view of the dataset end, for all documents of a block. Raises ``DatasetError`` as
        ``alignment``."""
        if (name, block) not in self._units:
            key = key_of(self._seed, Purpose.PLACEBO, block) if self._placebo else None
            self._units[name, block] = block_units(self._split, name, block, key)
        return self._units[name, block]

    def _raw(self, block: int) -> NDArray[np.uint8]:
        raw = self._split.base(block).raw
        if not self.raw_is_rare:
            will_need(raw)
        return raw

    def _checked_symbols(self, name: str, block: int) -> NDArray[Any]:
        """One pass over a block's symbols, so that a damaged one is reported, and never looked up in the embedding."""
        symbols = self._split.view(name, block).symbols
        will_need(symbols)
        n_symbols = self._split.dataset.manifest.view(name).n_symbols
        if n_symbols <= np.iinfo(symbols.dtype).max and len(symbols) and int(symbols.max()) >= n_symbols:
            raise DatasetError(
                f"{self._split.where(block)}: view {name} has symbol {symbols.max()}, its last is {n_symbols - 1}; "
                "run pcdata verify and rebuild"
            )
        return symbols

    def alignment(self, view: int, block: int, row: int) -> Alignment:
        """Of one document of a block. Raises ``DatasetError`` as ``Split.alignment``."""
        if self.bags is not None and view == self.bags.view.number:
            return self.bags.alignment(block, row)
        name = self.view_name(view)
        if (view, block) not in self._aligned:
            self._aligned.add((view, block))
            columns = self._split.view(name, block)
            will_need(columns.unit_bytes)
            if columns.unit_symbols is not None:
                will_need(columns.unit_symbols)
        return self._split.alignment(name, block, row)

    def view_name(self, view: int) -> str:
        return self._view_names[view - 1]

    def _at(self, draw: int) -> _Lookup:
        lookup = self._lookup
        if lookup is None or not lookup.first_draw <= draw < lookup.end_draw:
            stretch = self._order.stretch(draw, _STRETCH_DOCUMENTS)
            lookup = self._lookup = _Lookup(self, self._split, stretch, self._seed, bool(self._filter))
        return lookup


class Document:
    """One document of the stream; a handle that stays valid after the stream has moved on."""

    __slots__ = ("_index", "_lookup", "at_byte_0", "at_end", "block", "documents", "raw_bytes")

    def __init__(self, lookup: _Lookup, index: int) -> None:
        self._lookup = lookup
        self._index = index
        self.documents = lookup.documents
        """Where its columns are."""
        self.block = lookup.blocks[index]
        self.at_byte_0 = lookup.at_byte_0[index]
        """Whether it begins its input document, rather than being a later part of one that was cut."""
        self.at_end = lookup.at_end[index]
        """Whether its input document ends with it, rather than continuing in another part."""
        self.raw_bytes = lookup.raw_bytes[index]

    @property
    def draw(self) -> int:
        return self._lookup.first_draw + self._index

    @property
    def number(self) -> int:
        """Its number in the split, counted from ``Documents.first_number``."""
        return self._lookup.numbers[self._index]

    @property
    def appearance_draws(self) -> AppearanceDraws:
        return self._lookup.appearance_draws[self._index]

    def chances(self, purpose: Purpose, count: int) -> NDArray[np.float64]:
        """``count`` more draws in [0, 1) for this document."""
        return fractions(self._lookup.key(self._index, purpose), np.arange(count, dtype=np.uint64))

    def chance(self, purpose: Purpose, number: int) -> float:
        """One such draw."""
        return float(fractions(self._lookup.key(self._index, purpose), np.array([number], np.uint64))[0])

    def extent(self, view: int) -> tuple[int, int]:
        """Where its symbols begin and end (exclusive) in ``Documents.column(view, block)``."""
        starts, ends = self._lookup.extents(view)
        return starts[self._index], ends[self._index]

    def alignment(self, view: int) -> Alignment:
        """Raises ``DatasetError`` if the view's units do not rise strictly to the document's ends."""
        return self.documents.alignment(view, self.block, self._lookup.rows[self._index])


def symbols_in_bags(document: Document, view: BagView, n_bags: int) -> int:
    """How many symbols of their source the first bags of a document hold."""
    bags = document.documents.bags
    assert bags is not None
    if not n_bags:
        return 0
    last = document.extent(view.number)[0] + n_bags - 1
    return int(bags.column(document.block).ends[last]) - document.extent(view.source)[0]


class _Lookup:
    """A stretch, with what is needed per document as plain lists: indexing an array costs ten times more."""

    def __init__(self, documents: Documents, split: Split, stretch: Stretch, seed: int, filtered: bool) -> None:
        self.documents = documents
        self._split = split
        self._seed = seed
        self._stretch = stretch
        self._extents: dict[int, tuple[list[int], list[int]]] = {}
        self.first_draw = stretch.first_draw
        self.end_draw = stretch.first_draw + len(stretch)
        self.window = (stretch.epoch, stretch.window)
        self.blocks: list[int] = stretch.blocks.tolist()
        self.rows: list[int] = stretch.rows.tolist()
        self.numbers: list[int] = (stretch.documents + np.uint64(documents.first_number)).tolist()
        purposes = (Purpose.KIND, Purpose.VIEW, Purpose.PAIR_ORDER)
        draws = (uniform(seed, stretch.epoch, stretch.documents, purpose).tolist() for purpose in purposes)
        self.appearance_draws = [AppearanceDraws(*faces) for faces in zip(*draws, strict=True)]
        begins, ends, kept = np.empty((3, len(stretch)), bool)
        raw_bytes = np.empty(len(stretch), np.int64)
        for block, here in self._by_block():
            base, rows = split.base(block), stretch.rows[here]
            begins[here] = base.part_starts[rows] == 0
            raw_bytes[here] = lengths = base.raw_offsets[rows + 1] - base.raw_offsets[rows]
            ends[here] = base.part_starts[rows] + lengths.astype(np.uint64) == base.document_bytes[rows]
            if filtered:
                kept[here] = documents.kept_rows(block)[rows]
        self.raw_bytes: list[int] = raw_bytes.tolist()
        self.at_byte_0: list[bool] = begins.tolist()
        self.at_end: list[bool] = ends.tolist()
        self._kept = np.flatnonzero(kept) if filtered else None

    def next_kept(self, draw: int) -> int | None:
        """The first draw from ``draw`` on whose document the filter keeps; None if that is not in this stretch."""
        assert self._kept is not None
        place = int(np.searchsorted(self._kept, draw - self.first_draw))
        return self.first_draw + int(self._kept[place]) if place < len(self._kept) else None

    def key(self, index: int, purpose: Purpose) -> int:
        """The key of a document's counter-based draws."""
        return key_of(self._seed, purpose, self._stretch.epoch, int(self._stretch.documents[index]))

    def extents(self, view: int) -> tuple[list[int], list[int]]:
        """Starts and ends of all documents in their blocks' columns. A view's files are mapped at the first call."""
        if view not in self._extents:
            starts, ends = np.empty((2, len(self._stretch)), np.int64)
            for block, here in self._by_block():
                offsets, rows = self.documents.offsets(view, block), self._stretch.rows[here]
                starts[here], ends[here] = offsets[rows], offsets[rows + 1]
            self._extents[view] = starts.tolist(), ends.tolist()
        return self._extents[view]

    def _by_block(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Each block that occurs, with the indices of its documents."""
        by_block = np.argsort(self._stretch.blocks, kind="stable")
        blocks, firsts = np.unique(self._stretch.blocks[by_block], return_index=True)
        return list(zip(blocks.tolist(), np.split(by_block, firsts[1:]), strict=True))
