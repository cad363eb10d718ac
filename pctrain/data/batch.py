"""What a step of training gets: the arrays of its rows, what they hold in sums, and where the stream stands after."""

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
    """What a global batch holds, over the rows of all ranks. Sums, so that batches add up."""

    positions: int
    """Rows x seq_len."""
    batches: int
    """Global batches: 1, or how many were added up."""
    batches_without_raw: int
    """Those in which no byte is shown raw."""
    effective_documents: float
    """Of each batch, how many documents of equal length would be as mixed as those that it shows (the inverse of
    Simpson's index over their symbols: 1 if all are of one document, the number of rows if each is of another that
    fills it); a sum, whose mean over batches ``shares`` has."""
    documents: int
    """Documents begun."""
    documents_D: tuple[int, ...]
    """The same by dataset."""
    passed_over: int
    """Documents that the filter left out on the way."""
    documents_V: tuple[int, ...]
    """Documents begun, by the view they are shown in; one shown as a pair counts in both of its views, and one that is
    spliced in neither."""
    spliced: int
    """Documents begun that are spliced."""
    pairs: int
    """Spans of a document that are shown in two views, side by side or in parallel."""
    cut_pairs: int
    """Those of them whose two sides do not stand for as many raw bytes. Not 0 would be a bug."""
    paired_units: int
    """Units in pairs."""
    paired_bytes: int
    """Raw bytes of pairs, each once."""
    unpaired_units: int
    """Units of documents shown as pairs that do not fit into a row beside their raw bytes: shown compressed alone."""
    unpaired_bytes: int
    """Raw bytes that those stand for."""
    symbols_V: tuple[int, ...]
    """Symbols by view, marks left out."""
    raw_bytes: int
    """Bytes shown raw."""
    compressed_bytes: int
    """Raw bytes that the compressed symbols stand for. Where a row's end cuts a document or an unpaired unit, each
    piece counts in proportion to its symbols: a single batch may be off by a unit, the sum over batches is exact."""
    padding: int
    """Positions that hold nothing."""

    def shares(self) -> dict[str, float]:
        """What the sums say in proportion, or on average; what they do not define is left out."""
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
    """The rows of one rank in one global batch, a line each. New, contiguous, and nobody else's."""

    inputs_RT: NDArray[np.int64]
    """Ids; PAD where there is nothing."""
    targets_RT: NDArray[np.int64]
    """The next id; IGNORE where it is in another sample than the input, or there is none."""
    positions_RT: NDArray[np.int64]
    """From 0 in each sample."""
    samples_RT: NDArray[np.int32]
    """The number of the sample within its row, from 1; 0 is padding. A position attends to its own sample only."""
    target_views_RT: NDArray[np.int8]
    """The view that the target is a symbol or a mark of: 0 raw, 1 + i the i-th used view; NO_VIEW without a target."""

    def flat(self) -> Arrays:
        """The same memory, one line after the other."""
        return Arrays(*(array.reshape(-1) for array in self))  # type: ignore[arg-type] # each of its own type


NOTHING: Final = (PAD, IGNORE, 0, 0, NO_VIEW)
"""What each of the arrays holds where a row is empty."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step of training gets."""

    arrays: Arrays
    shown: tuple[int, ...]
    """The documents of the global batch, over the rows of all ranks: their numbers as in ``Span.document``."""
    stats: BatchStats
    """Of the global batch."""
    cursor: Cursor
    """Where the batches stand after this one."""
