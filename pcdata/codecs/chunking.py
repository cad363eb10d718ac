"""Content-defined chunking: cuts depend on nearby bytes only, so an edit moves only the cuts near it.

A candidate is a cut when it ranks above every other candidate within ``reach`` bytes. That depends only on
the bytes around it, so two versions of a file share all cuts except those near their differences. Fixed sizes, or a
minimum distance from the last cut, do not achieve that.

Candidates are line ends; those after a blank line outrank the others, and a hash of the last 16 bytes decides between
equals. Ranks of independent hashes give gaps of ``2 × reach`` on average, hence ``reach = size // 2``. Where no line
ends for ``4 × size`` bytes, every byte is a candidate, those after punctuation or space first; the rest (one repeated
byte, for example) is cut every ``size`` bytes. So no piece is longer than ``4 × size``, and none is shorter than
``reach`` except short documents and remainders of the last rule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]
Ranks = NDArray[np.uint64]

LONGEST = 4
"""The longest piece, in units of ``size``."""
SMALLEST_SIZE = 64
"""Smaller sizes would let the hash's 16 bytes reach past the previous cut."""

_SLAB_BYTES = 1 << 20
"""Lines without end are ranked this many bytes at a time, which bounds the memory."""
_FIRST_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SECOND_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_BETTER = np.uint64(1 << 63)
_IN_WORD: NDArray[np.bool_] = np.array([chr(b).isalnum() or b in b"_" or b >= 0x80 for b in range(256)])
"""Bytes of names, numbers and of characters outside ASCII: a cut after one of these would split it."""


def cut(text: Bytes, document_ends: Positions, size: int) -> Positions:
    """Cut each document into pieces of about ``size`` bytes.

    ``text`` is the concatenated documents, ``document_ends`` their exclusive ends, rising (empty documents are
    allowed). Returns the exclusive ends of all pieces, strictly rising; the end of every non-empty document is among
    them. The pieces of a document do not depend on its neighbours.
    """
    reach = size // 2
    lines = _inside(np.flatnonzero(text == ord("\n")) + 1, document_ends, reach)
    before = text[lines - 2]
    before = np.where(before == ord("\r"), text[lines - 3], before)
    ranks = _rank(_word(text, lines - 8), _word(text, lines - 16), before == ord("\n"))
    cuts = _merge(document_ends, lines[_highest(lines, ranks, reach)])
    cuts = _merge(cuts, *(_cuts_in_long_line(text, gap, reach) for gap in _long_gaps(cuts, size)))
    return _merge(cuts, *(np.arange(start + size, end, size) for start, end in _long_gaps(cuts, size)))


def _merge(*positions: Positions) -> Positions:
    """All positions except 0, without duplicates, sorted."""
    merged = np.sort(np.concatenate(positions))
    return merged[np.diff(merged, prepend=0) > 0]


def _inside(positions: Positions, document_ends: Positions, reach: int) -> Positions:
    """Those at least ``reach`` away from the start and end of their document; all sorted."""
    starts = np.concatenate([np.zeros(1, np.int64), document_ends[:-1]])
    first = np.searchsorted(positions, starts + reach)
    last = np.searchsorted(positions, document_ends - reach, side="right")
    some = first < last
    steps = np.zeros(len(positions) + 1, np.int8)
    steps[first[some]] += 1
    steps[last[some]] -= 1
    return positions[np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)]


def _word(text: Bytes, starts: Positions | slice) -> Ranks:
    """The 8 bytes from each start, as one little-endian number."""
    words: Ranks = np.ndarray(max(len(text) - 7, 0), "<u8", text.data, strides=(1,))
    return words[starts]


def _rank(near: Ranks, far: Ranks, better: NDArray[np.bool_]) -> Ranks:
    """A hash of the 16 bytes before a position; the ``better`` ones rank above all others."""
    mixed = near * _FIRST_FACTOR
    mixed ^= far * _SECOND_FACTOR
    mixed ^= mixed >> np.uint64(29)
    mixed *= _FIRST_FACTOR
    mixed >>= np.uint64(1)
    mixed |= better.astype(np.uint64) << np.uint64(63)
    return mixed


def _highest(positions: Positions, ranks: Ranks, reach: int) -> NDArray[np.intp]:
    """Indices of the candidates that no other within ``reach`` outranks; of equal ones, the first.

    Round k compares every remaining candidate with its k-th neighbours, and about 1 in 2k remain, so all rounds
    together cost little more than the first.
    """
    near = np.diff(positions) < reach
    rising = ranks[1:] > ranks[:-1]
    beaten = np.zeros(len(positions), np.bool_)
    beaten[:-1] = near & rising
    beaten[1:] |= near & ~rising
    standing = np.flatnonzero(~beaten)
    winners = []
    last = len(positions) - 1
    for k in range(2, len(positions) + 1):
        at, rank = positions[standing], ranks[standing]
        left, right = np.maximum(standing - k, 0), np.minimum(standing + k, last)
        left_near = (at - positions[left] < reach) & (standing >= k)
        right_near = (positions[right] - at < reach) & (standing + k <= last)
        unbeaten = ~((left_near & (ranks[left] >= rank)) | (right_near & (ranks[right] > rank)))
        more = left_near | right_near
        winners.append(standing[unbeaten & ~more])
        standing = standing[unbeaten & more]
        if not len(standing):
            break
    return np.sort(np.concatenate([standing, *winners]))


def _cuts_in_long_line(text: Bytes, gap: tuple[int, int], reach: int) -> Positions:
    """Where to cut between two cuts that are too far apart: here any byte is a candidate.

    A sliding maximum by doubling: after the loop ``highest[i]`` is the highest of ranks i … i + width - 1.
    """
    found = [np.zeros(0, np.int64)]
    first, last = gap[0] + reach, gap[1] - reach
    for slab in range(first, last + 1, _SLAB_BYTES):
        slab_last = min(slab + _SLAB_BYTES - 1, last)
        # Bytes outside the slab but within reach of it are compared, but never chosen.
        low, high = max(slab - reach, first), min(slab_last + reach, last)
        better = ~_IN_WORD[text[low - 1 : high]]
        ranks = _rank(_word(text, slice(low - 8, high - 7)), _word(text, slice(low - 16, high - 15)), better)
        highest, width = np.pad(ranks, reach - 1), 1
        while width < reach - 1:
            step = min(width, reach - 1 - width)
            highest, width = np.maximum(highest[:-step], highest[step:]), width + step
        chosen = np.flatnonzero((ranks > highest[: len(ranks)]) & (ranks >= highest[reach:])) + low
        found.append(chosen[(chosen >= slab) & (chosen <= slab_last)])
    return np.concatenate(found)


def _long_gaps(cuts: Positions, size: int) -> list[tuple[int, int]]:
    bounded = np.concatenate([[0], cuts])
    long = np.flatnonzero(np.diff(bounded) > LONGEST * size)
    return list(zip(bounded[long].tolist(), bounded[long + 1].tolist(), strict=True))
