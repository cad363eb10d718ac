"""The units of a view of the dataset, for all documents of a block at once: where raw bytes are cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Split
from pcdata.dataset.splitmix import key_of
from pctrain.data.draws import Purpose
from pctrain.data.placebo import permuted


@dataclass(frozen=True, eq=False)
class BlockUnits:
    """Ends (exclusive) of consecutive units in the columns of a block. In the narrowest integers: blocks have millions
    of units."""

    raw_ends: NDArray[np.unsignedinteger]
    """In the raw bytes."""
    symbol_ends: NDArray[np.unsignedinteger] | None
    """In the symbols; None where every unit is one symbol."""
    offsets: NDArray[np.int64]
    """Where each document's units begin, and where the last document's end."""

    def of_raw(self, start: int, end: int) -> NDArray[np.int64]:
        """The number in the block of the unit that each of these raw bytes is in."""
        return _numbers(self.raw_ends, start, end)

    def first_from(self, start: int) -> int:
        """The number in the block of the first unit that begins at this raw byte or after it."""
        return int(np.searchsorted(self.raw_ends, start)) + 1 if start else 0

    def of_symbols(self, start: int, end: int) -> NDArray[np.int64]:
        """The same for symbols of the view."""
        if self.symbol_ends is None:
            return np.arange(start, end)
        return _numbers(self.symbol_ends, start, end)


class RawUnits:
    """The units that raw bytes of a split are in, outside of training: of view ``name``, or with a seed as ``placebo``
    of permuted lengths."""

    def __init__(self, name: str, placebo: int | None = None) -> None:
        self._name, self._placebo = name, placebo
        self._last: tuple[Split, int, BlockUnits] | None = None

    def of(self, split: Split, block: int, row: int, start: int, end: int) -> NDArray[np.int64]:
        """The number of each byte's unit, for bytes ``start`` to ``end`` of a document. Raises ``DatasetError`` as
        ``Split.alignment``."""
        if self._last is None or self._last[:2] != (split, block):
            key = None if self._placebo is None else key_of(self._placebo, Purpose.PLACEBO, block)
            self._last = split, block, block_units(split, self._name, block, key)
        first = int(split.base(block).raw_offsets[row])
        return self._last[2].of_raw(first + start, first + end)


def block_units(split: Split, name: str, block: int, placebo: int | None = None) -> BlockUnits:
    """The units of view ``name``. With a key as ``placebo``, the lengths in bytes of each document's units are
    permuted, so that units end anywhere.

    Raises ``DatasetError`` as ``Split.alignment`` for the first document whose units do not end where it ends.
    """
    view, base = split.view(name, block), split.base(block)
    unit_bytes = view.unit_bytes
    if placebo is not None:
        unit_bytes = permuted(unit_bytes, view.unit_offsets, placebo)
    raw_ends = _ends(unit_bytes)
    symbol_ends = None if view.unit_symbols is None else _ends(view.unit_symbols)
    raw_fits = _fit(unit_bytes, raw_ends, view.unit_offsets, base.raw_offsets)
    if not raw_fits or not _fit(view.unit_symbols, symbol_ends, view.unit_offsets, view.symbol_offsets):
        for row in range(len(base)):
            split.alignment(name, block, row)
    return BlockUnits(raw_ends, symbol_ends, view.unit_offsets)


def _fit(
    lengths: NDArray[np.unsignedinteger] | None,
    ends: NDArray[np.unsignedinteger] | None,
    run_offsets: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> bool:
    """Whether runs of these lengths and ends (None: of 1) are not empty and end where their documents do."""
    reached = run_offsets if ends is None else np.append(np.zeros(1, ends.dtype), ends)[run_offsets]
    return (lengths is None or bool(lengths.all())) and bool((reached == offsets).all())


def _ends(lengths: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    ends = np.cumsum(lengths, dtype=np.uint64)
    return ends.astype(np.min_scalar_type(int(ends[-1]) if len(ends) else 0))


def _numbers(ends: NDArray[np.unsignedinteger], start: int, end: int) -> NDArray[np.int64]:
    """The number of the run that each place from ``start`` to ``end`` is in."""
    # Of the same type: for another, searchsorted would copy all ends.
    first, last = np.searchsorted(ends, np.array((start, end), ends.dtype), "right").tolist()
    inner = ends[first:last].astype(np.int64) - start
    lengths = np.diff(np.append(inner, end - start), prepend=0)
    return np.repeat(np.arange(first, first + len(lengths)), lengths)
