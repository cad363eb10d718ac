"""The interface of a byte model for window codecs: contexts → integer counts, without floating point.

A model predicts a byte by 256 counts, each at least 1, that add up to 2^16. The probability of a byte, the entropy of
the prediction and the intervals of the coder all follow from these integers, so a decoder on another machine finds the
same segments and intervals. Predictions are rows of a table: a model of byte counts has one fixed table and names a row
per byte, a neural model makes a new table with one row per byte in every pass.

Legend: N bytes, R rows, S spans, C = 257 cumulative counts.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

COUNT_BITS: Final = 16
TOTAL: Final = 1 << COUNT_BITS
"""The sum of the counts of a row."""

BIT: Final = 1 << 16
"""One bit of entropy, in fixed point."""

REACH_BYTES: Final = 128
"""The most bytes of context that a model may use."""

_ROWS_AT_ONCE: Final = 4096
_FRACTION_BITS: Final = 16
_MANTISSA_BITS: Final = 31


class CountTable:
    """Distributions of a byte, one per row."""

    def __init__(self, cumulative_RC: NDArray[np.uint32]) -> None:
        """``cumulative_RC[r, b]`` is the sum of the counts of bytes below b; the last is ``TOTAL``. C-contiguous."""
        self.cumulative_RC = cumulative_RC
        self._flat = cumulative_RC.reshape(-1)
        self._items = self._flat.data

    @cached_property
    def entropies_R(self) -> NDArray[np.uint32]:
        """Entropy of each row, in units of 1 / ``BIT`` bits; 0 … 8 bits."""
        pieces = np.array_split(self.cumulative_RC, max(1, len(self.cumulative_RC) // _ROWS_AT_ONCE))
        return np.concatenate([_entropies(np.diff(piece)) for piece in pieces])

    def interval(self, rows_N: NDArray[Any], bytes_N: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where each byte's share of 0 … ``TOTAL`` begins and ends (exclusive), under its row: [N] each."""
        cells_N = rows_N * 257 + bytes_N
        return self._flat.take(cells_N), self._flat.take(cells_N + 1)

    def find(self, row: int, target: int) -> tuple[int, int, int]:
        """The byte in whose share of a row ``target`` lies, and where that begins and ends."""
        items, start = self._items, row * 257  # a memoryview: items of an array take ten times as long
        cell = bisect_right(items, target, start, start + 256) - 1
        return cell - start, items[cell], items[cell + 1]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The distribution of each of N bytes."""

    table: CountTable
    rows_N: NDArray[np.intp]

    def entropies_N(self) -> NDArray[np.uint32]:
        return self.table.entropies_R.take(self.rows_N)

    def intervals(self, bytes_N: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Each byte's share of 0 … ``TOTAL``, begin and end."""
        return self.table.interval(self.rows_N, bytes_N)


class ByteModel(Protocol):
    """Contexts → counts. Both methods give one context the same counts, on any machine and in any batch."""

    def predict(self, text_N: NDArray[np.uint8], starts_S: NDArray[np.int64]) -> Predictions:
        """The distribution of every byte given those before it in its span, at most ``REACH_BYTES`` of them.

        Spans lie end to end and cover the text: ``starts_S`` rises strictly from 0. Empty if the text is.
        """

    def following(self, context: bytes | bytearray) -> tuple[CountTable, int]:
        """The distribution of the byte after ``context``, which has ``REACH_BYTES`` or fewer: a table, and its row."""


def _entropies(counts_RV: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Σ c/2^16 · (16 − log2 c), rounded down."""
    surprise_RV = np.uint64(COUNT_BITS * BIT) - log2_table().take(counts_RV).astype(np.uint64)
    entropies_R: NDArray[np.uint32] = ((counts_RV * surprise_RV).sum(axis=1) >> np.uint64(COUNT_BITS)).astype(np.uint32)
    return entropies_R


@cache
def log2_table() -> NDArray[np.uint32]:
    """log2 of 0 … ``TOTAL`` in units of 1 / ``BIT``, right to within two of them; 0 for 0. Shape [65537].

    Computed with integers, because libraries differ in the last digit of a logarithm: squaring a number doubles its
    logarithm, and whether the result exceeds 2 is the next binary digit.
    """
    values = np.arange(TOTAL + 1, dtype=np.uint64)
    whole = np.frexp(np.maximum(values, 1))[1].astype(np.uint64) - np.uint64(1)  # exact: the exponent of an integer
    mantissa = values << (np.uint64(_MANTISSA_BITS) - whole)
    two = np.uint64(2 << _MANTISSA_BITS)
    result = whole
    for _ in range(_FRACTION_BITS):
        mantissa = (mantissa * mantissa) >> np.uint64(_MANTISSA_BITS)
        carry = (mantissa >= two).astype(np.uint64)
        mantissa >>= carry
        result = (result << np.uint64(1)) | carry
    result[0] = 0
    return result.astype(np.uint32)
