"""What a training step gets: the arrays of its rows, sums over their contents, and the stream's position after them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.vocab import PAD
from pctrain.data.cursor import Cursor

# R rows of one rank, T positions (seq_len), V views: 0 is raw, 1 + i the i-th used compressed view; D datasets

IGNORE: Final = -100
"""The target of a position that predicts nothing (what torch's cross-entropy leaves out by default)."""

NO_VIEW: Final = -1


@dataclass(frozen=True)
class BatchStats:
    """Sums over a global batch, that is, over the rows of all ranks. Batches can be added up."""

    positions: int
    """Rows x seq_len."""
    batches: int
    """Global batches: 1, or how many were added up."""
    batches_without_raw: int
    """Batches without any raw bytes."""
    effective_documents: float
    """How mixed a batch is: the inverse of Simpson's index over the symbols of its documents. It is 1 if all rows are
    of one document, and the number of rows if each is filled by another. A sum over batches; ``shares`` has the
    mean."""
    documents: int
    """Documents begun."""
    documents_D: tuple[int, ...]
    """The same by dataset."""
    passed_over: int
    """Documents that the filter skipped in between."""
    documents_V: tuple[int, ...]
    """Documents begun, by the view they appear in. A pair counts in both of its views, a spliced document in
    neither."""
    spliced: int
    """Documents begun that are spliced."""
    pairs: int
    """Spans of a document that appear in two views, as a pair or in parallel."""
    cut_pairs: int
    """Pairs whose sides cover different numbers of raw bytes. Anything but 0 is a bug."""
    paired_units: int
    """Units in pairs."""
    paired_bytes: int
    """Raw bytes of pairs, each counted once."""
    unpaired_units: int
    """Units of pairs that do not fit into a row together with their raw bytes, and so appear compressed alone."""
    unpaired_bytes: int
    """Raw bytes that those units encode."""
    symbols_V: tuple[int, ...]
    """Symbols by view, without marks."""
    raw_bytes: int
    """Bytes that appear raw."""
    compressed_bytes: int
    """Raw bytes that the compressed symbols encode. Where the end of a row cuts a document or an unpaired unit, each
    piece counts in proportion to its symbols: a single batch may be off by a unit, the sum over batches is exact."""
    padding: int
    """Positions that hold nothing."""

    def shares(self) -> dict[str, float]:
        """Proportions and means of the sums; undefined ones are left out."""
        ratios: dict[str, tuple[float, float]] = {
            "compressed_documents": (sum(self.documents_V[1:]), sum(self.documents_V)),
            "compressed_symbols": (sum(self.symbols_V[1:]), sum(self.symbols_V)),
            "compressed_bytes": (self.compressed_bytes, self.compressed_bytes + self.raw_bytes),
            "padding": (self.padding, self.positions),
            "batches_without_raw": (self.batches_without_raw, self.batches),
            "effective_documents": (self.effective_documents, self.batches),
            "cut_pairs": (self.cut_pairs, self.pairs),
            "unpaired_units": (self.unpaired_units, self.unpaired_units + self.paired_units),
            "unpaired_bytes": (self.unpaired_bytes, self.unpaired_bytes + self.paired_bytes),
        }
        return {name: part / whole for name, (part, whole) in ratios.items() if whole}

    def __add__(self, other: BatchStats) -> BatchStats:
        def add(a: Any, b: Any) -> Any:
            return tuple(x + y for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else a + b

        names = [field.name for field in dataclasses.fields(self)]
        return BatchStats(**{name: add(getattr(self, name), getattr(other, name)) for name in names})


class Arrays(NamedTuple):
    """The rows of one rank in one global batch. New, contiguous arrays that belong to the caller."""

    inputs_RT: NDArray[np.int64]
    """Ids; PAD where there is nothing."""
    targets_RT: NDArray[np.int64]
    """The next id; IGNORE if it is in another sample than the input, or does not exist."""
    positions_RT: NDArray[np.int64]
    """From 0 in each sample."""
    samples_RT: NDArray[np.int32]
    """The number of the sample within its row, from 1; 0 is padding. A position attends to its own sample only."""
    target_views_RT: NDArray[np.int8]
    """The view that the target is a symbol or a mark of: 0 raw, 1 + i the i-th used view; NO_VIEW without a target."""

    def flat(self) -> Arrays:
        """The same memory, with the rows concatenated."""
        return Arrays(*(array.reshape(-1) for array in self))  # type: ignore[arg-type] # each of its own type


NOTHING: Final = (PAD, IGNORE, 0, 0, NO_VIEW)
"""The value of each array at an empty position."""

BAGS: Final = "bags"
"""The ids in each symbol of a row that is a bag [R, T + 1, S]; PAD where a bag has no more, or the symbol is none."""
UNITS: Final = "units"
"""The number of the unit that each symbol of a row is of [R, T + 1], int32: from 0 in each row, and below T + 1. Equal
numbers in a row are the same unit, in the raw bytes, in the view, or on both sides of a pair; a document's other
appearances in the row have other numbers. NO_UNIT for marks, empty positions, and symbols of other views."""
SUFFIXES: Final = "suffixes"
"""For each raw byte of a row the symbol of the unit before its own [R, T + 1], int32; NO_UNIT where that unit does not
lie wholly in the sample, and for all else."""
NO_UNIT: Final = -1
NO_EXTRAS: Final = {BAGS: PAD, UNITS: NO_UNIT, SUFFIXES: NO_UNIT}
"""Arrays that a batch has only for methods that need them, and their values at an empty position."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What a training step gets."""

    arrays: Arrays
    extras: dict[str, NDArray[np.int32]]
    """Those of ``NO_EXTRAS`` that this batch has."""
    shown: tuple[int, ...]
    """The documents of the global batch, over the rows of all ranks: their numbers as in ``Span.document``."""
    stats: BatchStats
    """Of the global batch."""
    cursor: Cursor
    """The position after this batch."""
