"""The arithmetic coder: bytes → windows of equal information, and back.

A window is a number v of 16, 24 or 32 bits, and stands for the fraction v / 2^bits. Each byte narrows an interval of
fractions in proportion to its counts; a byte fits while some v still lies in the interval, and the window's v is the
smallest. (Lester et al. 2024, *Training LLMs over Neurally Compressed Text*, section 3.3, require v's whole cell to lie
there: 8 to 13 % fewer bytes per window.) Windows do not store how many bytes they hold: the decoder must know it.

All in integers: an interval is (low, width) in units of 2^-47, so that width times a count fits into 64 bits, and any
byte fits into an empty window, even if its count is 1.

Legend: N bytes of spans laid end to end, S spans, L spans still in progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.byte_model import COUNT_BITS, CountTable
from pcdata.errors import CodecError

WINDOW_BITS: Final = (16, 24, 32)

_PRECISION: Final = 47
_WHOLE: Final = 1 << _PRECISION
_U64 = np.uint64

Following = Callable[[bytes | bytearray], tuple[CountTable, int]]
"""``ByteModel.following``."""


def encode(
    lows_N: NDArray[Any], highs_N: NDArray[Any], lengths_S: NDArray[np.int64], window_bits: int
) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
    """Pack each span's bytes into windows, as many bytes in each as fit; the end of a span ends its window.

    ``lows_N`` and ``highs_N`` are the bytes' shares of 0 … 2^16 (``Predictions.intervals``). Returns for each byte
    whether a window ends with it, and the number that its window would have if it did.
    """
    ends_N, numbers_N = np.zeros(len(lows_N), bool), np.zeros(len(lows_N), np.uint32)
    ends_N[np.cumsum(lengths_S) - 1] = True
    low_S, width_S = np.zeros(len(lengths_S), _U64), np.full(len(lengths_S), _WHOLE, _U64)
    for at_L in in_step(lengths_S):
        low_L, width_L = low_S[: len(at_L)], width_S[: len(at_L)]
        first_L, last_L = lows_N.take(at_L).astype(_U64), highs_N.take(at_L).astype(_U64)
        begin_L, end_L = _narrowed(width_L, first_L, last_L)
        begin_L += low_L
        end_L += low_L
        number_L = _smallest(begin_L, window_bits)
        full_L = np.flatnonzero(_value(number_L, window_bits) >= end_L)
        ends_N[at_L[full_L] - 1] = True
        begin_L[full_L], end_L[full_L] = _narrowed(_U64(_WHOLE), first_L[full_L], last_L[full_L])
        number_L[full_L] = _smallest(begin_L[full_L], window_bits)
        numbers_N[at_L] = number_L
        low_L[:] = begin_L
        np.subtract(end_L, begin_L, out=width_L)
    return ends_N, numbers_N


def decodes(
    lows_N: NDArray[Any], highs_N: NDArray[Any], lengths_S: NDArray[np.int64], numbers_S: NDArray[Any], window_bits: int
) -> NDArray[np.bool_]:
    """Whether each span, as one window with the given number, decodes to the bytes with these shares. [S]

    As ``decode``, but for all windows at once, because the bytes and their counts are known.
    """
    right_S = np.ones(len(lengths_S), bool)
    order_S = longest_first(lengths_S)
    value_S = _value(numbers_S.astype(_U64), window_bits)[order_S]
    low_S, width_S = np.zeros(len(lengths_S), _U64), np.full(len(lengths_S), _WHOLE, _U64)
    for at_L in in_step(lengths_S):
        low_L, width_L, value_L = low_S[: len(at_L)], width_S[: len(at_L)], value_S[: len(at_L)]
        begin_L, end_L = _narrowed(width_L, lows_N.take(at_L).astype(_U64), highs_N.take(at_L).astype(_U64))
        begin_L += low_L
        end_L += low_L
        right_S[: len(at_L)] &= (begin_L <= value_L) & (value_L < end_L)
        low_L[:] = begin_L
        np.subtract(end_L, begin_L, out=width_L)
    right_S &= _smallest(low_S, window_bits) == numbers_S.astype(_U64)[order_S]
    result_S = np.empty_like(right_S)
    result_S[order_S] = right_S
    return result_S


def decode(number: int, n_bytes: int, window_bits: int, following: Following, context: bytearray) -> None:
    """Append the bytes of one window to its ``context``, each found by the counts that follow those before it.

    Raises ``CodecError`` if ``encode`` would have written another number for them.
    """
    shift = _PRECISION - window_bits
    low, width, value = 0, _WHOLE, number << shift
    for _ in range(n_bytes):
        table, row = following(context)
        # The largest target whose share of the width begins at or below the value.
        target = (((value - low + 1) << COUNT_BITS) - 1) // width
        byte, first, last = table.find(row, target)
        context.append(byte)
        begin = (width * first) >> COUNT_BITS
        low, width = low + begin, ((width * last) >> COUNT_BITS) - begin
    smallest = -(-low >> shift)
    if smallest != number:
        raise CodecError(f"window {number:#x} decodes to bytes that are encoded as {smallest:#x}")


def in_step(lengths_S: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Walk all spans at once, one byte per step: positions in N of their t-th bytes, the longest span first.

    So the spans in progress are always the first L of ``longest_first``, and their state needs no mask.
    """
    starts_S = (np.cumsum(lengths_S) - lengths_S)[longest_first(lengths_S)]
    ended = np.cumsum(np.bincount(lengths_S, minlength=1))
    for step, n_ended in enumerate(ended[:-1].tolist()):
        yield starts_S[: len(starts_S) - n_ended] + step


def longest_first(lengths_S: NDArray[np.int64]) -> NDArray[np.intp]:
    """The spans by falling length, equal ones in order."""
    return np.argsort(-lengths_S.astype(np.int16), kind="stable")  # numpy sorts 16 bits by radix


def _narrowed(width: Any, first: NDArray[np.uint64], last: NDArray[np.uint64]) -> tuple[Any, Any]:
    """The share ``first … last`` of a width, relative to its beginning."""
    return (width * first) >> _U64(COUNT_BITS), (width * last) >> _U64(COUNT_BITS)


def _smallest(low: NDArray[np.uint64], window_bits: int) -> NDArray[np.uint64]:
    """The smallest number whose value is not below ``low``; it may lie beyond the interval."""
    shift = _PRECISION - window_bits
    return (low + _U64((1 << shift) - 1)) >> _U64(shift)


def _value(number: NDArray[np.uint64], window_bits: int) -> NDArray[np.uint64]:
    """A window's number as a point in 0 … 2^47."""
    return number << _U64(_PRECISION - window_bits)
