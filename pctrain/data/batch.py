"""What a step of training gets: the arrays of its rows, what they hold in sums, and where the stream stands after."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pctrain.errors import CheckpointError

# R rows of one rank, T positions (seq_len), V views: 0 is raw, 1 + i the i-th used compressed view

IGNORE: Final = -100
"""The target of a position that predicts nothing (what torch's cross-entropy leaves out by default)."""

NO_VIEW: Final = -1

_CURSOR_VERSION = 1


@dataclass(frozen=True)
class Cursor:
    """A place in the stream of documents, between two rows: all that a resume needs."""

    draw: int = 0
    """The document in progress, or the next one to begin: documents drawn so far, over all epochs."""
    offset_symbols: int = 0
    """How much of it was shown: raw bytes if it is shown raw alone, else symbols of its compressed view."""
    appearance: tuple[str | None, ...] | None = None
    """The views it is shown in, in order; None among them is raw. None at all if it has not begun."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"version": _CURSOR_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cursor:
        """Raises ``CheckpointError`` for another version, or for values that no cursor has."""
        version = values.get("version")
        if version != _CURSOR_VERSION:
            raise CheckpointError(
                f"the checkpoint's data cursor has version {version!r}, this pctrain reads {_CURSOR_VERSION}; "
                "continue with the pctrain that wrote it"
            )
        shown = values.get("appearance")
        cursor = cls(
            values.get("draw", -1), values.get("offset_symbols", -1), tuple(shown) if isinstance(shown, list) else shown
        )
        if not cursor._is_sound():
            raise CheckpointError(f"the checkpoint's data cursor is damaged: {dict(values)!r}; use an older checkpoint")
        return cursor

    def _is_sound(self) -> bool:
        if not all(isinstance(count, int) and count >= 0 for count in (self.draw, self.offset_symbols)):
            return False
        if not self.offset_symbols:
            return self.appearance is None
        shown = self.appearance
        if not isinstance(shown, tuple) or not all(name is None or isinstance(name, str) for name in shown):
            return False
        return len(shown) == 1 or (len(shown) == 2 and shown.count(None) == 1)


@dataclass(frozen=True)
class BatchStats:
    """What a global batch holds, over the rows of all ranks. Sums, so that batches add up."""

    rows: int
    documents: int
    """Documents begun."""
    documents_V: tuple[int, ...]
    """Documents begun, by the view they are shown in; one shown as a pair counts in both of its views."""
    pairs: int
    """Samples that show one span of a document in two views."""
    unpaired_units: int
    """Units of documents shown as pairs that do not fit into a row beside their raw bytes: shown compressed alone."""
    symbols_V: tuple[int, ...]
    """Symbols by view, marks left out."""
    raw_bytes: int
    """Bytes shown raw."""
    compressed_bytes: int
    """Raw bytes that the compressed symbols stand for. Where a row's end cuts a document or an unpaired unit, each
    piece counts in proportion to its symbols: a single batch may be off by a unit, the sum over batches is exact."""
    padding: int
    """Positions that hold nothing, of rows x seq_len."""

    def __add__(self, other: BatchStats) -> BatchStats:
        def add(a: Any, b: Any) -> Any:
            return tuple(x + y for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else a + b

        names = [field.name for field in dataclasses.fields(self)]
        return BatchStats(**{name: add(getattr(self, name), getattr(other, name)) for name in names})


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows of one rank in one global batch. The arrays are new, contiguous, and nobody else's."""

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
    stats: BatchStats
    """Of the global batch."""
    cursor: Cursor
    """Where the stream stands after the global batch."""
