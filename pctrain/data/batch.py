"""What a step of training gets: the arrays of its rows, what they hold in sums, and where the stream stands after."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pctrain.data.mixture import How
from pctrain.errors import CheckpointError

# R rows of one rank, T positions (seq_len), V views: 0 is raw, 1 + i the i-th used compressed view; D datasets

IGNORE: Final = -100
"""The target of a position that predicts nothing (what torch's cross-entropy leaves out by default)."""

NO_VIEW: Final = -1

_CURSOR_VERSION = 2
"""1 knew one dataset, and no arrangement but pairs."""


@dataclass(frozen=True)
class Cursor:
    """A place in the stream of documents, between two rows: all that a resume needs."""

    draws: tuple[int, ...] = ()
    """Documents drawn so far of each dataset, over all its epochs; that in progress is the one after them. Empty at the
    very beginning."""
    offset_symbols: int = 0
    """How much of the document in progress was shown: raw bytes if it is shown raw alone, symbols of all its stretches
    if it is spliced, else symbols of its compressed view."""
    dataset: int = 0
    """That of the document in progress, in the order of names."""
    how: str | None = None
    """The arrangement in which it is shown (``How``); None if none is in progress."""
    views: tuple[str | None, ...] = ()
    """The views it is shown in, in order; None among them is raw."""
    splicing: tuple[float, int] | None = None
    """As in ``Appearance``."""

    @property
    def draw(self) -> int:
        """Documents drawn so far, over all datasets."""
        return sum(self.draws)

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
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        del parts["version"]
        names = {field.name for field in dataclasses.fields(cls)}
        if parts.keys() != names or not (cursor := cls(**parts))._is_sound():
            raise CheckpointError(f"the checkpoint's data cursor is damaged: {dict(values)!r}; use an older checkpoint")
        return cursor

    def _is_sound(self) -> bool:
        if not isinstance(self.draws, tuple) or not all(
            map(_is_count, (*self.draws, self.offset_symbols, self.dataset))
        ):
            return False
        if self.how is None:
            return (self.offset_symbols, self.dataset, self.views, self.splicing) == (0, 0, (), None)
        if not self.offset_symbols or self.dataset >= len(self.draws) or self.how not in set(How):
            return False
        if not isinstance(self.views, tuple) or not all(name is None or isinstance(name, str) for name in self.views):
            return False
        alone = self.how == How.ALONE
        if len(self.views) != 2 - alone or (not alone and self.views.count(None) != 1):
            return False
        return _is_splicing(self.splicing) if self.how == How.SPLICE else self.splicing is None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_splicing(value: Any) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    share, mean_bytes = value
    return isinstance(share, float) and 0 <= share <= 1 and _is_count(mean_bytes) and mean_bytes > 0


@dataclass(frozen=True)
class BatchStats:
    """What a global batch holds, over the rows of all ranks. Sums, so that batches add up."""

    positions: int
    """Rows x seq_len."""
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
        """What the sums say in proportion; what they do not define is left out."""
        ratios = {
            "compressed_documents": (sum(self.documents_V[1:]), sum(self.documents_V)),
            "compressed_symbols": (sum(self.symbols_V[1:]), sum(self.symbols_V)),
            "compressed_bytes": (self.compressed_bytes, self.compressed_bytes + self.raw_bytes),
            "padding": (self.padding, self.positions),
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
