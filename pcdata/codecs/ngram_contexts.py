"""Which contexts of up to four bytes have counts of their own, and finding the longest of them before each byte.

Legend: N bytes of spans laid end to end, S spans, R contexts (rows; row 0 is the empty one).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.errors import CodecError

MOST_ORDER: Final = 4
"""Bytes of a context."""

_BYTES_AT_ONCE: Final = 1 << 16
"""So that intermediate arrays fit in the processor's level-2 cache."""


class Stretch(NamedTuple):
    """Consecutive bytes of a text, and the bytes before them."""

    text_N: NDArray[np.uint8]
    padded: NDArray[np.uint8]
    """The bytes, preceded by the ``MOST_ORDER`` bytes before them (zeros at the beginning of the text)."""
    reach_N: NDArray[np.uint8]
    """How many bytes precede each in its span, at most ``MOST_ORDER``."""

    def before(self, distance: int) -> NDArray[np.uint8]:
        """The byte ``distance`` before each; meaningless where ``reach_N`` is less. [N]"""
        return self.padded[MOST_ORDER - distance : len(self.padded) - distance]


def stretches(
    text_N: NDArray[np.uint8], starts_S: NDArray[np.int64], most_bytes: int = _BYTES_AT_ONCE
) -> Iterator[Stretch]:
    """A text in stretches; ``starts_S`` says where its spans begin, strictly rising."""
    padded = np.concatenate([np.zeros(MOST_ORDER, np.uint8), text_N])
    for first in range(0, len(text_N), most_bytes):
        end = min(first + most_bytes, len(text_N))
        reach_N = np.full(end - first, MOST_ORDER, np.uint8)
        near = starts_S[slice(*np.searchsorted(starts_S, [first - MOST_ORDER, end]))] - first
        for distance in reversed(range(MOST_ORDER)):  # nearer starts are written last
            places = near + distance
            reach_N[places[(places >= 0) & (places < end - first)]] = distance
        yield Stretch(text_N[first:end], padded[first : end + MOST_ORDER], reach_N)


class Contexts:
    """A tree: a child's context is its parent's with one more byte before it."""

    def __init__(self, cells: NDArray[np.uint32]) -> None:
        """Row r is the child of row ``cells[r - 1] >> 8`` by the byte ``cells[r - 1] & 255``. Cells rise strictly, so
        rows are sorted by the length of their contexts. Raises ``CodecError`` for cells that are not such a tree."""
        if (cells[1:] <= cells[:-1]).any() or (cells >> 8 > np.arange(len(cells))).any():
            raise CodecError("ngram: the contexts are not a tree in order")
        self.cells = cells
        self.levels = list(_levels(cells))
        """Contexts of 0, 1, 2 … bytes: their first row, and the exclusive end."""
        if len(self.levels) > MOST_ORDER + 1:
            raise CodecError(f"ngram: a context has more than {MOST_ORDER} bytes")

    def __len__(self) -> int:
        return len(self.cells) + 1

    def longest(self, text_N: NDArray[np.uint8], starts_S: NDArray[np.int64]) -> NDArray[np.intp]:
        """The row of the longest context before each byte, within its span."""
        found = [np.maximum.reduce(list(self.walk(stretch))) for stretch in stretches(text_N, starts_S)]
        return np.concatenate([np.zeros(0, np.intp), *found]) - 1

    def walk(self, stretch: Stretch) -> Iterator[NDArray[np.int32]]:
        """For contexts of 0, 1, 2 … bytes: the row of the one before each byte, plus 1; 0 if there is none. [N]"""
        node_N = np.ones(len(stretch.text_N), np.int32)
        yield node_N
        for length in range(1, len(self.levels)):
            node_N = self._children.take(node_N << 8 | stretch.before(length))
            node_N *= stretch.reach_N >= length
            yield node_N

    def find(self, context: bytes | bytearray) -> int:
        """The row of the longest context that ``context`` ends with."""
        row = 0
        for byte in reversed(context[-MOST_ORDER:]):
            child = self._child_of.get(row << 8 | byte)
            if child is None:
                break
            row = child
        return row

    @cached_property
    def _children(self) -> NDArray[np.int32]:
        """Index: a row plus 1, times 256, plus a byte. Value: the child's row plus 1, or 0. Index 0, for no row, gives
        0."""
        children = np.zeros((len(self) + 1) << 8, np.int32)
        children[self.cells.astype(np.intp) + 256] = np.arange(2, len(self) + 1)
        return children

    @cached_property
    def _child_of(self) -> dict[int, int]:
        return {cell: row for row, cell in enumerate(self.cells.tolist(), 1)}


def _levels(cells: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    first, end = 0, 1
    while first < end:
        yield first, end
        first, end = end, int(np.searchsorted(cells, end << 8)) + 1
