"""The order in which documents are read: blocks are shuffled, then documents within a window of blocks.

Reading by blocks keeps the page cache warm; the window mixes documents of blocks that are far apart. An epoch has every
document once, and each epoch another order. Both permutations can be computed at any index, so any position in any
epoch is found directly, and memory grows with the number of blocks, never with that of documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.splitmix import hashes, key_of
from pctrain.data.draws import Purpose

_ROUNDS = 6
_LEAST_HALF_BITS = 2
"""Halves of one bit have too few round functions for the permutation to look random."""


def permute(indices: NDArray[np.uint64], size: int, key: int) -> NDArray[np.uint64]:
    """The image of each index under a pseudo-random permutation of 0 … size - 1.

    A Feistel network over the next power of four, with cycle walking: an index that lands outside is permuted again
    until it is inside (Black and Rogaway 2002). The power is less than 4 × size, or 16.
    """
    half = max(_LEAST_HALF_BITS, ((size - 1).bit_length() + 1) // 2)
    keys = [key_of(key, number) for number in range(_ROUNDS)]
    places = _feistel(indices, half, keys)
    outside = np.flatnonzero(places >= size)
    while len(outside):
        places[outside] = _feistel(places[outside], half, keys)
        outside = outside[places[outside] >= size]
    return places


def _feistel(indices: NDArray[np.uint64], half: int, keys: list[int]) -> NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64(2**half - 1)
    left, right = indices >> bits, indices & mask
    for key in keys:
        left, right = right, left ^ (hashes(key, right) & mask)
    return (left << bits) | right


@dataclass(frozen=True, eq=False)
class Stretch:
    """The documents of consecutive draws within one window of one epoch; arrays have an entry per draw."""

    first_draw: int
    epoch: int
    window: int
    blocks: NDArray[np.int64]
    rows: NDArray[np.int64]
    """Row in the block."""
    documents: NDArray[np.uint64]
    """Number in the split."""

    def __len__(self) -> int:
        return len(self.rows)


def seed_of(seed: int, dataset: int) -> int:
    """The seed of a run's n-th dataset. The first, and so a single one, has the seed of the run."""
    return key_of(seed, Purpose.DATASET, dataset) if dataset else seed


class Order:
    """Which document each draw is. Draw d is position d mod N of epoch d // N, over N documents."""

    def __init__(self, block_documents: NDArray[np.int64], window_blocks: int, seed: int) -> None:
        self._block_documents = block_documents
        self._first_document = np.cumsum(block_documents) - block_documents
        self._window_blocks = window_blocks
        self._seed = seed
        self._laid_out: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None
        self.n_documents = int(block_documents.sum())

    def stretch(self, draw: int, limit: int) -> Stretch:
        """The documents of at most ``limit`` draws from ``draw`` on; fewer if the window ends earlier."""
        epoch, position = divmod(draw, self.n_documents)
        blocks, window_ends = self._epoch(epoch)
        window = int(np.searchsorted(window_ends, position, side="right"))
        blocks = blocks[window * self._window_blocks : (window + 1) * self._window_blocks]
        ends = np.cumsum(self._block_documents[blocks])
        size = int(ends[-1])
        first = position - (int(window_ends[window]) - size)
        asked = np.arange(first, min(first + limit, size), dtype=np.uint64)
        places = permute(asked, size, key_of(self._seed, Purpose.DOCUMENTS, epoch, window)).astype(np.int64)
        in_window = np.searchsorted(ends, places, side="right")
        chosen = blocks[in_window]
        rows = places - (ends - self._block_documents[blocks])[in_window]
        return Stretch(draw, epoch, window, chosen, rows, (self._first_document[chosen] + rows).astype(np.uint64))

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The blocks of an epoch in order, and the position at which each window of them ends (exclusive)."""
        if self._laid_out is None or self._laid_out[0] != epoch:
            n_blocks = len(self._block_documents)
            indices = np.arange(n_blocks, dtype=np.uint64)
            blocks = permute(indices, n_blocks, key_of(self._seed, Purpose.BLOCKS, epoch)).astype(np.int64)
            starts = np.arange(0, n_blocks, self._window_blocks)
            window_ends = np.cumsum(np.add.reduceat(self._block_documents[blocks], starts))
            self._laid_out = epoch, blocks, window_ends
        return self._laid_out[1:]
