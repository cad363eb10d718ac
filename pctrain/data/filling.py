"""Fills rows that are laid out with ids: the only place in training that copies symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.mapping import will_need
from pcdata.dataset.vocab import BOS, RAW_VIEW, ViewIds, Vocabulary
from pctrain.data.batch import IGNORE, NO_VIEW, NOTHING, Arrays
from pctrain.data.layout import Row, Span
from pctrain.data.mixture import RAW

# R rows, T positions (seq_len), C = T + 1 symbols of a row


class _Ids(NamedTuple):
    open: int
    close: int
    first: np.unsignedinteger[Any]
    """The id of symbol 0."""


def _empty(rows: int, seq_len: int) -> Arrays:
    """Arrays in a single allocation: glibc returns several smaller ones to the system when they are freed, and page
    faults in the next batch would then cost several times as much as filling it."""
    shape, places = (rows, seq_len), rows * seq_len
    memory = np.empty(29 * places, np.uint8)
    return Arrays(
        np.ndarray(shape, np.int64, memory),
        np.ndarray(shape, np.int64, memory, 8 * places),
        np.ndarray(shape, np.int64, memory, 16 * places),
        np.ndarray(shape, np.int32, memory, 24 * places),
        np.ndarray(shape, np.int8, memory, 28 * places),
    )


def _ask_for_raw(rows: Sequence[Row]) -> None:
    """Request readahead for rare raw bytes all at once, rather than read each from the disk as it is copied. (For all
    other data, ``Documents`` requests whole blocks.)"""
    for row in rows:
        for span in row.spans:
            if span.view == RAW and span.documents.raw_is_rare:
                will_need(span.documents.column(RAW, span.block)[span.start : span.end])


class Filler:
    """Turns layouts into arrays of ids."""

    def __init__(self, vocabulary: Vocabulary, views: Sequence[ViewIds], seq_len: int) -> None:
        """``views`` are the ids of the used compressed views, in their order."""
        self._narrow = np.min_scalar_type(vocabulary.size - 1)
        first = self._narrow.type
        self._ids = [_Ids(ids.open_id, ids.close_id, first(ids.first_id)) for ids in (RAW_VIEW, *views)]
        self._seq_len = seq_len
        self._count_T = np.arange(seq_len, dtype=np.int64)

    def fill(self, rows: Sequence[Row]) -> Arrays:
        """New arrays, one line per row.

        Ids are assembled in the narrowest integers that hold them, and widened twice, as inputs and as targets: a
        quarter faster than assembling them wide and copying them twice. Everything else is written in place.
        """
        _ask_for_raw(rows)
        arrays = _empty(len(rows), self._seq_len)
        ids_RC = np.empty((len(rows), self._seq_len + 1), self._narrow)
        flat, ids = arrays.flat(), ids_RC.reshape(-1)
        ends = [self._fill_row(row.spans, line, ids, flat) for line, row in enumerate(rows)]
        arrays.inputs_RT[:] = ids_RC[:, :-1]
        arrays.targets_RT[:] = ids_RC[:, 1:]
        self._end_samples(ends, flat)
        return arrays

    def _fill_row(self, spans: Sequence[Span], line: int, ids: NDArray[Any], flat: Arrays) -> list[int]:
        """Write one row; returns the flat positions where its samples end (exclusive), which may be one too far."""
        ids_of, views = self._ids, flat.target_views_RT
        at = first = line * self._seq_len
        begins = []
        for documents, _, view, block, start, end, begins_sample, bos, closes, _ in spans:
            open_id, close_id, first_id = ids_of[view]
            if begins_sample:
                begins.append(at)
                if bos:
                    ids[at + line] = BOS  # rows of ids are longer by one
                    at += 1
            ids[at + line] = open_id
            begin, at = at + 1, at + 1 + end - start
            np.add(documents.column(view, block)[start:end], first_id, ids[begin + line : at + line])
            if closes:
                ids[at + line] = close_id
                at += 1
            views[max(first, begin - 2) : at - 1] = view  # a target is one position before its symbol
        ends = [*begins[1:], at]
        last = first + self._seq_len
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True), 1):
            held = end if end < last else last
            flat.samples_RT[begin:held] = number
            flat.positions_RT[begin:held] = self._count_T[: held - begin]
        return ends

    def _end_samples(self, ends: Sequence[Sequence[int]], flat: Arrays) -> None:
        """The last symbol of a sample has no target, and after the last sample there is nothing."""
        all_arrays: tuple[NDArray[Any], ...] = flat
        for line, of_line in enumerate(ends, 1):
            line_end = line * self._seq_len
            for end in of_line:
                if end <= line_end:
                    flat.targets_RT[end - 1] = IGNORE
                    flat.target_views_RT[end - 1] = NO_VIEW
            if end < line_end:
                for array, nothing in zip(all_arrays, NOTHING, strict=True):
                    array[end:line_end] = nothing
