"""Bits of documents under byte n-gram models, a baseline that shows at once whether a model is under-trained.

A model of *order* n predicts a byte from the n − 1 bytes before it in its document: order 3 is a trigram model, with
two bytes of context. Smoothing is interpolated Kneser–Ney with one discount per level (Kneser and Ney 1995; Chen and
Goodman 1999, *An empirical study of smoothing techniques for language modeling*), down to the uniform distribution over
256 bytes: every byte has a probability above 0, and the 256 sum to 1.

The context at the beginning of a document is start symbols, as a model reads BOS; likewise for each part of a document
that was cut at build, since compressors take it part by part, too.

Legend: N bytes, G distinct n-grams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Split
from pctrain.data.filter import Filter

ORDERS: Final = (3, 5)
_MOST_ORDER: Final = max(ORDERS)
_SAMPLE_BYTES: Final = 32_000_000
_BYTES_AT_ONCE: Final = 1 << 22
_SYMBOL_BITS: Final = 9
"""Bits per symbol: 0 is the start symbol, 1 … 256 are the bytes. A packed n-gram has its context in the higher bits,
the nearest symbol in the highest, and the predicted byte in the lowest. So the n-grams of one context are a range, and
a sorted array stays nearly sorted when the farthest symbol is removed."""
_SYMBOL: Final = np.uint64((1 << _SYMBOL_BITS) - 1)

Packed = NDArray[np.uint64]


class Sample:
    """The text that is counted: the documents of a split that a filter keeps, or ``most_bytes`` of them, in documents
    evenly spread over the split, the last one cut short."""

    def __init__(self, split: Split, only: Filter, most_bytes: int = _SAMPLE_BYTES) -> None:
        self.split = split
        self.only = only
        self._numbers = only.numbers(split)
        lengths = split.document_lengths()[self._numbers]
        if int(lengths.sum()) > most_bytes:
            wanted = -(-most_bytes * len(lengths) // int(lengths.sum()))
            spread = np.arange(wanted) * len(lengths) // wanted
            self._numbers, lengths = self._numbers[spread], lengths[spread]
        self.raw_bytes = min(most_bytes, int(lengths.sum()))

    def __str__(self) -> str:
        return f"{self.raw_bytes:,} bytes of the {self.split.name} split{f', {self.only}' if self.only else ''}"

    def to_dict(self) -> dict[str, Any]:
        return {"split": self.split.name, "raw_bytes": self.raw_bytes, "where": self.only.where}

    def texts(self) -> Iterator[NDArray[np.uint8]]:
        """Read-only views of the mapped files."""
        left = self.raw_bytes
        for number in self._numbers.tolist():
            text = self.split.document(number).raw[:left]
            left -= len(text)
            yield text


class ByteNgrams:
    """The models of ``ORDERS``. Counting 32 MB of code takes 0.3 GB of memory; random bytes, whose n-grams hardly
    repeat, take 2.7 GB."""

    def __init__(self, texts: Iterable[NDArray[np.uint8]]) -> None:
        """Raises ``ValueError`` if the texts have no bytes."""
        grams_G, counts_G = _counted(texts)
        if not len(grams_G):
            raise ValueError("no bytes to count")
        self._seen = {order: _Level(*_summed(_shortened(grams_G, _MOST_ORDER - order), counts_G)) for order in ORDERS}
        """The highest level of each model, by order: how often each n-gram was seen."""
        self._continued: dict[int, _Level] = {}
        """The lower levels of all models, by order: how many distinct symbols each n-gram was seen after."""
        for order in range(_MOST_ORDER - 1, 0, -1):
            grams_G, n_before_G = np.unique(_shortened(grams_G, 1), return_counts=True)
            self._continued[order] = _Level(grams_G, n_before_G)

    def bits(self, text: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Bits of a document under the model of each of ``ORDERS``."""
        sums = dict.fromkeys(ORDERS, 0.0)
        for grams_N in _packed(text):
            grams_G, times_G = np.unique(grams_N, return_counts=True)  # sorted, they are found three times faster
            lower_G = np.full(len(grams_G), 1 / 256)
            for order in range(1, _MOST_ORDER + 1):
                cut_G = _shortened(grams_G, _MOST_ORDER - order)
                if order in self._seen:
                    sums[order] -= float((times_G * np.log2(self._seen[order].smoothed(cut_G, lower_G))).sum())
                if order in self._continued:
                    lower_G = self._continued[order].smoothed(cut_G, lower_G)
        return np.array([*sums.values()])


class _Level:
    """Counts of the n-grams of one order."""

    def __init__(self, grams_G: Packed, counts_G: NDArray[np.int64]) -> None:
        """``grams_G`` is strictly increasing, so the n-grams of one context are a range."""
        self._grams_G = grams_G
        self._before = np.concatenate([[0], np.cumsum(counts_G)]).astype(np.uint32)
        """The sum of the counts before each n-gram, and of all. [G + 1]"""
        once, twice = (int((counts_G == times).sum()) for times in (1, 2))
        self._discount = once / (once + 2 * twice) if once else 0.5  # no estimate if no n-gram was seen once

    def smoothed(self, grams_N: Packed, lower_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of bytes at this level. ``lower_N`` are those of the level below, which remain where the
        context was never seen. [N]"""
        first_N = np.searchsorted(self._grams_G, grams_N & ~_SYMBOL)
        end_N = np.searchsorted(self._grams_G, grams_N | _SYMBOL)
        place_N = np.searchsorted(self._grams_G, grams_N)
        own_N = self._sum(place_N, np.searchsorted(self._grams_G, grams_N, side="right"))
        total_N = self._sum(first_N, end_N)
        mixed_N = np.maximum(own_N - self._discount, 0) + self._discount * (end_N - first_N) * lower_N
        return np.where(total_N > 0, mixed_N / np.maximum(total_N, 1), lower_N)

    def _sum(self, first_N: NDArray[np.intp], end_N: NDArray[np.intp]) -> NDArray[np.uint32]:
        """Sums of the counts in ranges of n-grams."""
        sums_N: NDArray[np.uint32] = self._before[end_N] - self._before[first_N]
        return sums_N


def _packed(text: NDArray[np.uint8]) -> Iterator[Packed]:
    """The n-gram of the highest order that ends at each byte of a document, in pieces."""
    before = _MOST_ORDER - 1
    symbols = np.concatenate([np.zeros(before, np.uint16), text.astype(np.uint16) + np.uint16(1)])
    for first in range(0, len(text), _BYTES_AT_ONCE):
        piece = symbols[first : first + _BYTES_AT_ONCE + before].astype(np.uint64)
        grams_N = np.zeros(len(piece) - before, np.uint64)
        for distance in range(_MOST_ORDER):
            place = (_MOST_ORDER - distance) % _MOST_ORDER  # from the lowest: the byte itself, then the farthest
            grams_N |= piece[before - distance : len(piece) - distance] << np.uint64(place * _SYMBOL_BITS)
        yield grams_N


def _shortened(grams_N: Packed, by: int) -> Packed:
    """N-grams without their ``by`` farthest symbols."""
    context_N = grams_N >> np.uint64((by + 1) * _SYMBOL_BITS)
    return context_N << np.uint64(_SYMBOL_BITS) | grams_N & _SYMBOL


def _counted(texts: Iterable[NDArray[np.uint8]]) -> tuple[Packed, NDArray[np.int64]]:
    """The distinct n-grams of the highest order, increasing, and how often each was seen. [G] each"""
    grams_G, counts_G = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for grams_N in _gathered(piece for text in texts for piece in _packed(text)):
        some, counts = np.unique(grams_N, return_counts=True)
        grams_G, counts_G = _summed(np.concatenate([grams_G, some]), np.concatenate([counts_G, counts]))
    return grams_G, counts_G


def _gathered(pieces: Iterable[Packed]) -> Iterator[Packed]:
    """The same n-grams, in arrays as large as can be sorted at once."""
    some, n_bytes = [np.zeros(0, np.uint64)], 0
    for piece in pieces:
        some.append(piece)
        n_bytes += len(piece)
        if n_bytes >= _BYTES_AT_ONCE:
            yield np.concatenate(some)
            some, n_bytes = some[:1], 0
    yield np.concatenate(some)


def _summed(grams: Packed, counts: NDArray[np.int64]) -> tuple[Packed, NDArray[np.int64]]:
    """The distinct n-grams, increasing, and the sums of their counts. [G] each"""
    by_gram = np.argsort(grams, kind="stable")
    grams, counts = grams[by_gram], counts[by_gram]
    starts_G = np.flatnonzero(np.diff(grams, prepend=~grams[:1]))
    return grams[starts_G], np.add.reduceat(counts, starts_G)
