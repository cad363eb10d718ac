"""Segments of a document begin before bytes that a model finds hard to predict.

The entropy of each byte, given at most ``REACH_BYTES`` bytes of the document before it, is compared with an integer
threshold; above it a segment begins (the "global constraint" of Pagnoni et al. 2024, *Byte Latent Transformer*, section
2.3). The rule uses only bytes before the boundary, so a decoder can follow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.base import offsets_of
from pcdata.codecs.byte_model import BIT, REACH_BYTES, ByteModel

# N bytes of joined documents, D documents, S segments

LONGEST_SEGMENT_BYTES: Final = 64

_BYTES_AT_ONCE: Final = 1 << 17


def joined(documents: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The documents as one text [N], where each begins and ends in it, and where those that are not empty begin [D]."""
    offsets = offsets_of([len(document) for document in documents])
    return np.frombuffer(b"".join(documents), np.uint8), offsets, offsets[:-1][np.diff(offsets) > 0]


def segment_starts(
    model: ByteModel, text_N: NDArray[np.uint8], documents_D: NDArray[np.int64], threshold: int
) -> NDArray[np.int64]:
    """Where segments begin [S], rising. ``documents_D`` says where documents begin; none is empty."""
    pieces = [entropies > threshold for entropies in _entropies(model, text_N, documents_D)]
    begins_N = np.concatenate(pieces) if pieces else np.zeros(0, bool)
    return starts_where(begins_N, documents_D)


def begins_segment(model: ByteModel, document: bytearray, segment_bytes: int, threshold: int) -> bool:
    """Whether the byte after ``document``, which is known up to here, begins a segment; the last has
    ``segment_bytes``."""
    if not document or segment_bytes == LONGEST_SEGMENT_BYTES:
        return True
    table, row = model.following(document[-REACH_BYTES:])
    return int(table.entropies_R[row]) > threshold


def document_entropies(
    model: ByteModel, text_N: NDArray[np.uint8], documents_D: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """The entropy of each byte [N], given the bytes before it in its document."""
    pieces = list(_entropies(model, text_N, documents_D))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint32)


def find_threshold(entropies_N: NDArray[np.uint32], documents_D: NDArray[np.int64], mean_bytes: int) -> int:
    """The smallest threshold at which segments are ``mean_bytes`` long on average, or longer."""
    low, high = 0, 8 * BIT
    while low < high:
        middle = (low + high) // 2
        n_segments = len(starts_where(entropies_N > middle, documents_D))
        low, high = (low, middle) if n_segments * mean_bytes <= len(entropies_N) else (middle + 1, high)
    return low


def _entropies(
    model: ByteModel, text_N: NDArray[np.uint8], documents_D: NDArray[np.int64]
) -> Iterator[NDArray[np.uint32]]:
    """Piece by piece, each with enough context before it."""
    for start in range(0, len(text_N), _BYTES_AT_ONCE):
        end, before = start + _BYTES_AT_ONCE, max(0, start - REACH_BYTES)
        first, last = np.searchsorted(documents_D, [before + 1, end])
        spans_S = np.concatenate([[before], documents_D[first:last]]) - before
        yield model.predict(text_N[before:end], spans_S).entropies_N()[start - before :]


def starts_where(begins_N: NDArray[np.bool_], documents_D: NDArray[np.int64]) -> NDArray[np.int64]:
    """Segments begin where ``begins_N`` is true, at each document, and after ``LONGEST_SEGMENT_BYTES``."""
    begins_N[documents_D] = True
    starts_S = np.flatnonzero(begins_N)
    pieces_S = -(-np.diff(starts_S, append=len(begins_N)) // LONGEST_SEGMENT_BYTES)
    number = np.arange(pieces_S.sum()) - np.repeat(np.cumsum(pieces_S) - pieces_S, pieces_S)
    starts: NDArray[np.int64] = np.repeat(starts_S, pieces_S) + number * LONGEST_SEGMENT_BYTES
    return starts
