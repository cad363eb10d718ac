"""The byte model of ``ngram``: counts of the bytes seen after the most frequent contexts.

A byte is predicted by the longest counted context before it. A context's counts are mixed with its parent's (the same
context without its farthest byte), weighted by the number of distinct bytes seen after it (Witten and Bell 1991, *The
zero-frequency problem*, method C), down to the empty context, whose parent is uniform. All in integers: the counts are
the same on any machine.

Legend: N bytes, S spans, R contexts (rows), E distinct bytes seen after contexts, V = 256 bytes, C = V + 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.base import offsets_of
from pcdata.codecs.byte_model import TOTAL, CountTable, Predictions
from pcdata.codecs.ngram_contexts import Contexts, Stretch, stretches
from pcdata.errors import CodecError

_COUNTED_AT_ONCE: Final = 1 << 22
"""Bytes of the sample."""
_SHARE_BITS: Final = 24
"""Precision of a byte's share before it becomes a count of 16 bits."""


@dataclass(frozen=True, eq=False)
class Counts:
    """The artifact's two arrays."""

    contexts: Contexts
    seen_E2: NDArray[np.uint32]
    """Strictly rising pairs: 256 times the row plus the byte, and how often that byte followed."""

    def dense(self, first: int, end: int) -> NDArray[np.int64]:
        """How often each byte followed the contexts in a range of rows. [end - first, V]"""
        low, high = np.searchsorted(self.seen_E2[:, 0], [first << 8, end << 8])
        counts_RV = np.zeros((end - first, 256), np.int64)
        counts_RV.reshape(-1)[self.seen_E2[low:high, 0].astype(np.intp) - (first << 8)] = self.seen_E2[low:high, 1]
        return counts_RV


class NgramModel:
    """A ``ByteModel``; its table takes 1 kB per context."""

    def __init__(self, counts: Counts) -> None:
        self._contexts = counts.contexts
        self._table = CountTable(_cumulative(counts))

    def predict(self, text_N: NDArray[np.uint8], starts_S: NDArray[np.int64]) -> Predictions:
        return Predictions(self._table, self._contexts.longest(text_N, starts_S))

    def following(self, context: bytes | bytearray) -> tuple[CountTable, int]:
        return self._table, self._contexts.find(context)


def count(sample: Sequence[bytes], order: int, most_contexts: int) -> Counts:
    """Count the bytes after the most frequent contexts of up to ``order`` bytes.

    Among equally frequent contexts shorter ones are kept, so that every context's parent is, too. One pass over the
    sample per byte of ``order``, to count contexts one byte longer than before, and one to count the bytes that follow.
    """
    grown = Contexts(np.zeros(0, np.uint32))
    frequencies = [np.zeros(0, np.int64)]
    for _ in range(order):
        n_cells = _sums((_longer(grown, stretch) for stretch in _joined(sample)), len(grown) << 8)
        kept = np.sort(_most_frequent(n_cells, most_contexts))
        frequencies.append(n_cells[kept])
        grown = Contexts(np.concatenate([grown.cells, kept.astype(np.uint32)]))
    contexts = _only(grown, np.sort(_most_frequent(np.concatenate(frequencies), most_contexts - 1)))
    n_seen = _sums((_followed(contexts, stretch) for stretch in _joined(sample)), len(contexts) << 8)
    seen = np.flatnonzero(n_seen)
    return Counts(contexts, np.stack([seen, n_seen[seen]], axis=1).astype(np.uint32))


def parse(cells: NDArray[np.uint32], seen: NDArray[np.uint32]) -> Counts:
    """The counts of an artifact; ``seen`` is ``Counts.seen_E2``, flat. Raises ``CodecError`` if ``count`` cannot have
    made them."""
    contexts = Contexts(cells)
    if len(seen) % 2:
        raise CodecError("ngram: the counts are no pairs")
    places, numbers = seen.reshape(-1, 2).T
    if (places[1:] <= places[:-1]).any() or (places >> 8 >= len(contexts)).any() or not numbers.all():
        raise CodecError("ngram: the counts are not in order, or of no context")
    return Counts(contexts, seen.reshape(-1, 2))


def _joined(sample: Sequence[bytes]) -> Iterator[Stretch]:
    """The documents, many at a time."""
    documents = [document for document in sample if document]
    before = offsets_of([len(document) for document in documents])
    cuts = np.searchsorted(before, np.arange(0, before[-1] + _COUNTED_AT_ONCE, _COUNTED_AT_ONCE)).tolist()
    for first, end in pairwise(cuts):
        text_N = np.frombuffer(b"".join(documents[first:end]), np.uint8)
        yield from stretches(text_N, before[first:end] - before[first], len(text_N) or 1)


def _longer(contexts: Contexts, stretch: Stretch) -> NDArray[np.intp]:
    """Cells of the contexts in the stretch that are one byte longer than the longest known ones."""
    *_, node_N = contexts.walk(stretch)
    length = len(contexts.levels)
    within_N = np.flatnonzero((node_N > 0) & (stretch.reach_N >= length))
    return ((node_N[within_N] - 1).astype(np.intp) << 8) | stretch.before(length)[within_N]


def _followed(contexts: Contexts, stretch: Stretch) -> NDArray[np.intp]:
    """256 times the row plus the byte, for each byte of the stretch and each context before it."""
    return np.concatenate(
        [
            ((node_N[node_N > 0] - 1).astype(np.intp) << 8) | stretch.text_N[node_N > 0]
            for node_N in contexts.walk(stretch)
        ]
    )


def _sums(cells: Iterator[NDArray[np.intp]], n_cells: int) -> NDArray[np.int64]:
    """How often each cell occurs."""
    sums = np.zeros(n_cells, np.int64)
    for some in cells:
        sums += np.bincount(some, minlength=n_cells)
    return sums


def _most_frequent(frequencies: NDArray[np.int64], most: int) -> NDArray[np.intp]:
    """The places of the highest frequencies above 0, the first among equal ones."""
    by_frequency = np.argsort(-frequencies, kind="stable")[:most]
    return by_frequency[frequencies[by_frequency] > 0]


def _only(contexts: Contexts, kept: NDArray[np.intp]) -> Contexts:
    """The tree of the contexts in rows 0 and ``kept + 1``; the parent of each is kept, too."""
    new_rows = np.zeros(len(contexts), np.uint32)
    new_rows[kept + 1] = np.arange(1, len(kept) + 1)
    cells = contexts.cells[kept]
    return Contexts((new_rows[cells >> 8] << 8) | (cells & 255))


def _cumulative(counts: Counts) -> NDArray[np.uint32]:
    """The mixed counts of all rows, 16 bits each, as running sums. [R, C]"""
    contexts = counts.contexts
    cumulative_RC = np.zeros((len(contexts), 257), np.uint32)
    level_RV = _mixed(counts.dense(0, 1), np.full((1, 256), TOTAL >> 8))
    np.cumsum(level_RV, axis=1, out=cumulative_RC[:1, 1:])
    for (before, _), (first, end) in pairwise(contexts.levels):
        parents_R = (contexts.cells[first - 1 : end - 1] >> 8).astype(np.intp) - before
        level_RV = _mixed(counts.dense(first, end), level_RV[parents_R])
        np.cumsum(level_RV, axis=1, out=cumulative_RC[first:end, 1:])
    return cumulative_RC


def _mixed(counts_RV: NDArray[np.int64], parents_RV: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts mixed with the parents', each at least 1, with sum ``TOTAL``; the most likely one takes the remainder."""
    different_R1 = (counts_RV > 0).sum(axis=1, keepdims=True)
    weight_R1 = np.maximum(different_R1, 1)  # a context after which nothing was seen gets its parent's counts
    parts_RV = (counts_RV << _SHARE_BITS) + ((weight_R1 * parents_RV) << (_SHARE_BITS - 16))
    shares_RV: NDArray[np.int64] = parts_RV // (counts_RV.sum(axis=1, keepdims=True) + weight_R1)
    mixed_RV: NDArray[np.int64] = 1 + ((shares_RV * (TOTAL - 256)) >> _SHARE_BITS)
    likeliest_R1 = mixed_RV.argmax(axis=1, keepdims=True)
    rest_R1 = TOTAL - mixed_RV.sum(axis=1, keepdims=True)
    np.put_along_axis(mixed_RV, likeliest_R1, np.take_along_axis(mixed_RV, likeliest_R1, 1) + rest_R1, 1)
    return mixed_RV
