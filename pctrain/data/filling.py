"""The symbols of rows that are laid out: the only place of the training path that copies them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.vocab import BOS, FIRST_BYTE, PAD, RAW_CLOSE, RAW_OPEN, ViewIds
from pctrain.data.batch import IGNORE, NO_VIEW
from pctrain.data.packing import Row
from pctrain.data.pieces import Sample

# R rows, T positions (seq_len), C = T + 1 symbols of a row


class _Ids(NamedTuple):
    open: int
    close: int
    first: int
    """The id of symbol 0."""


class Arrays(NamedTuple):
    """As in ``Batch``."""

    inputs_RT: NDArray[np.int64]
    targets_RT: NDArray[np.int64]
    positions_RT: NDArray[np.int64]
    samples_RT: NDArray[np.int32]
    target_views_RT: NDArray[np.int8]


NOTHING = (PAD, IGNORE, 0, 0, NO_VIEW)
"""What each of the arrays holds where a row is empty."""


def _empty(rows: int, seq_len: int) -> Arrays:
    """Arrays in one piece of memory: glibc gives back to the system what is freed in several, and page faults on the
    next batch would then cost several times more than filling it."""
    dtypes = [np.dtype(name) for name in ("int64", "int64", "int64", "int32", "int8")]
    ends = list(accumulate(dtype.itemsize * rows * seq_len for dtype in dtypes))
    memory = np.empty(ends[-1], np.uint8)
    pieces = np.split(memory, ends[:-1])
    return Arrays(*(piece.view(dtype).reshape(rows, seq_len) for piece, dtype in zip(pieces, dtypes, strict=True)))


class Filler:
    """Turns layouts into arrays of ids."""

    def __init__(self, views: Sequence[ViewIds], seq_len: int) -> None:
        """``views`` are the ids of the used compressed views, in their order."""
        self._ids = [_Ids(RAW_OPEN, RAW_CLOSE, FIRST_BYTE)]
        self._ids += [_Ids(ids.open_id, ids.close_id, ids.first_id) for ids in views]
        self._seq_len = seq_len
        self._count_T = np.arange(seq_len, dtype=np.int64)
        self._row_C = np.empty(seq_len + 1, np.int64)
        self._views_C = np.empty(seq_len + 1, np.int8)

    def fill(self, rows: Sequence[Row]) -> Arrays:
        """New arrays, one line per row."""
        arrays = _empty(len(rows), self._seq_len)
        lasts: list[int] = []
        for line, row in enumerate(rows):
            lasts += self._fill_row(row, line, arrays)
        arrays.targets_RT.reshape(-1)[lasts] = IGNORE
        arrays.target_views_RT.reshape(-1)[lasts] = NO_VIEW
        return arrays

    def _fill_row(self, row: Row, line: int, arrays: Arrays) -> list[int]:
        """Write one line; returns the flat places of the last symbol of each sample, which has nothing to predict."""
        seq_len = self._seq_len
        positions_T, samples_T = arrays.positions_RT[line], arrays.samples_RT[line]
        lasts = []
        end = 0
        for number, sample in enumerate(row.samples, 1):
            begin, end = end, self._fill_sample(sample, end)
            samples_T[begin:end] = number
            positions_T[begin:end] = self._count_T[: min(end, seq_len) - begin]
            if end <= seq_len:
                lasts.append(line * seq_len + end - 1)
        arrays.inputs_RT[line] = self._row_C[:-1]
        arrays.targets_RT[line] = self._row_C[1:]
        arrays.target_views_RT[line] = self._views_C[1:]
        if end < seq_len:
            all_arrays: tuple[NDArray[Any], ...] = arrays
            for array, nothing in zip(all_arrays, NOTHING, strict=True):
                array[line, end:] = nothing
        return lasts

    def _fill_sample(self, sample: Sample, at: int) -> int:
        """Write a sample's ids and views into the scratch row from ``at`` on; returns where it ends."""
        row_C = self._row_C
        if sample.bos:
            row_C[at] = BOS
            at += 1
        for documents, view, block, start, end, closes, _ in sample.spans:
            open_id, close_id, first_id = self._ids[view]
            begin, at = at, at + 1 + end - start
            row_C[begin] = open_id
            symbols = row_C[begin + 1 : at]
            symbols[:] = documents.column(view, block)[start:end]
            symbols += first_id
            if closes:
                row_C[at] = close_id
                at += 1
            self._views_C[begin:at] = view
        return at
