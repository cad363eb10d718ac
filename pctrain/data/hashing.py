"""Counter-based randomness: each draw is a written function of what it is for, so there is no state to save.

The function is splitmix64 (Steele, Lea and Flood 2014): draw n under a key is output n of the generator seeded with
that key. A library's generator would not do: its stream may change between versions, and it has to be rewound.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_WORD = 2**64 - 1
_ONE = np.uint64(1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30, _SHIFT_27, _SHIFT_31 = np.uint64(30), np.uint64(27), np.uint64(31)
_FRACTION_SHIFT = np.uint64(11)


class Purpose(IntEnum):
    """What a draw decides. The numbers are part of the sequence of batches: append, never renumber."""

    BLOCKS = 1
    """The order of the blocks of an epoch."""
    DOCUMENTS = 2
    """The order of the documents of a window."""
    KIND = 3
    """Whether a document is shown raw, compressed or as a pair."""
    VIEW = 4
    """In which compressed view."""
    PAIR_ORDER = 5
    """Which side of a pair comes first."""
    DATASET = 6
    """From which of several datasets the next document is drawn."""
    SPLICE_DRAW = 7
    """At which units of a spliced document its view is drawn anew."""
    SPLICE_VIEW = 8
    """Which view that is."""
    FRESH = 9
    """Whether a document shown raw is cut into short pieces, and how long each is."""


def hashes(key: int, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Outputs ``numbers`` (from 0) of splitmix64 seeded with ``key``; a new array."""
    words = (numbers + _ONE) * _GOLDEN
    words += np.uint64(key)
    words ^= words >> _SHIFT_30
    words *= _MULTIPLY_1
    words ^= words >> _SHIFT_27
    words *= _MULTIPLY_2
    words ^= words >> _SHIFT_31
    return words


def key_of(*words: int) -> int:
    """Fold integers (taken modulo 2^64) into one key; their order matters."""
    key = len(words)
    for word in words:
        key = int(hashes(key, np.array([word & _WORD], np.uint64))[0])
    return key


def uniform(seed: int, epoch: int, documents: NDArray[np.uint64], purpose: Purpose) -> NDArray[np.float64]:
    """One draw in [0, 1) per document number: the same on any rank, in any worker, after any resume."""
    return fractions(key_of(seed, purpose, epoch), documents)


def fractions(key: int, numbers: NDArray[np.uint64]) -> NDArray[np.float64]:
    """``hashes``, as numbers in [0, 1)."""
    return (hashes(key, numbers) >> _FRACTION_SHIFT).astype(np.float64) * 2.0**-53
