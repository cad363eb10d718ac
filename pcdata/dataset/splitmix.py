"""Counter-based randomness: each draw is a function of its purpose, so there is no state to save.

The function is splitmix64 (Steele, Lea and Flood 2014): draw n under a key is output n of the generator seeded with
that key. A library's generator would not do: its stream may change between versions, and it has to be rewound. It is
here because both packages draw: pctrain its batches, ``pcdata probe`` its edits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD = 2**64 - 1
_ONE = np.uint64(1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30, _SHIFT_27, _SHIFT_31 = np.uint64(30), np.uint64(27), np.uint64(31)
_FRACTION_SHIFT = np.uint64(11)


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


def fractions(key: int, numbers: NDArray[np.uint64]) -> NDArray[np.float64]:
    """``hashes`` as numbers in [0, 1)."""
    return (hashes(key, numbers) >> _FRACTION_SHIFT).astype(np.float64) * 2.0**-53
