"""Checks of a view's codec, and inside its files whose hash is right, against the base files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.base import Codec, codec_class, open_codec
from pcdata.dataset.columns import BaseColumns, ViewColumns
from pcdata.dataset.histogram import BIT_LENGTHS, unit_histogram
from pcdata.dataset.identity import SAMPLE, draw
from pcdata.dataset.manifest import MANIFEST, BaseShard, View, ViewShard
from pcdata.dataset.schema import KeptColumn
from pcdata.errors import CodecError, DatasetError, OptionError
from pcdata.processes.isolated import allow
from pcdata.verifying.blocks import base_blocks, view_blocks
from pcdata.verifying.check_base import sum_findings
from pcdata.verifying.findings import REBUILD, Checked, Fault, Finding

_DECODED_AT_ONCE: Final = 1 << 18
"""Raw bytes of documents that are decoded between two reports of progress, unless one document alone has more."""

_SLOWEST: Final = 1_000
"""The least raw bytes per second that a codec must decode."""


class ViewChecker:
    """Looks at the files of one view, with its codec open from one file to the next."""

    def __init__(self, folder: Path, view: View, kept: Sequence[KeptColumn], sample: float | None) -> None:
        """Documents are decoded, all of them or the share ``sample``, chosen by their ids."""
        self._folder = folder
        self._view = view
        self._kept = kept
        self._sample = sample

    def codec_findings(self) -> Iterator[Finding]:
        """Whether the codec opens, and makes the symbols and units that the manifest says."""
        view, file = self._view, self._view.codec_file
        try:
            codec = self._opened
        except (CodecError, DatasetError, OptionError) as error:
            what = f"view {view.name} cannot be decoded, because its codec does not open ({error})"
            yield Finding(file, what, "install what the dataset was built with")
            return
        cls = codec_class(view.codec)
        if view.ids == "raw" and not cls.symbols_are_bytes(cls.Parameters(**view.parameters)):
            yield Finding(
                MANIFEST, f"view {view.name} shares the ids of the bytes, but its symbols are not bytes", REBUILD
            )
        for name, found in (*vars(codec.types).items(), ("units_independent", codec.units_independent)):
            listed = getattr(view, name)
            if found != listed:
                what = f"view {view.name}: {name} is {listed}, that of its codec is {found}"
                yield Finding(MANIFEST, what, REBUILD)

    @cached_property
    def _opened(self) -> Codec:
        return open_codec(self._view, self._folder)

    def check(self, shard: ViewShard, base: BaseShard, advance: Callable[[int], None]) -> Checked:
        """Look at every row; ``advance`` is called with the raw bytes checked. The codec must have passed."""
        checked = Checked()
        try:
            self._check(shard, base, checked, advance)
        except Fault as fault:
            checked.findings.append(fault.finding)
        return checked

    def _check(self, shard: ViewShard, base: BaseShard, checked: Checked, advance: Callable[[int], None]) -> None:
        path, symbols, histogram = shard.file.path, 0, np.zeros(BIT_LENGTHS, np.int64)
        views = view_blocks(self._folder, shard.file, self._view.types, base.block_documents)
        both = zip(base_blocks(self._folder, base, self._kept), views, strict=True)
        for block, (raw, (doc_ids, columns)) in enumerate(both):
            checked.add(
                Finding(path, what, REBUILD, block, row)
                for row, what in self._block_faults(raw, doc_ids, columns, checked, advance)
            )
            symbols += int(columns.symbol_offsets[-1])
            histogram += unit_histogram(columns.unit_bytes[: columns.unit_offsets[-1]])
        checked.histogram = histogram.tolist()
        checked.findings += sum_findings(shard, {"symbols": symbols, "units": int(histogram.sum())})

    def _block_faults(
        self,
        base: BaseColumns,
        doc_ids: NDArray[np.uint8],
        columns: ViewColumns,
        checked: Checked,
        advance: Callable[[int], None],
    ) -> Iterator[tuple[int, str]]:
        """Rows and what is wrong with them. A block with wrong lengths is not decoded."""
        faults = list(_first_row((doc_ids != base.doc_ids).any(axis=1), "doc_id is not the base file's"))
        faults = faults or list(_length_faults(self._view, columns, base))
        yield from faults
        if faults:
            advance(int(base.raw_offsets[-1]))
            return
        for first, end in _stretches(base.raw_offsets):
            raw_bytes = int(base.raw_offsets[end] - base.raw_offsets[first])
            rows = [row for row in range(end - first) if self._is_chosen(base.doc_ids[first + row])]
            checked.decoded += len(rows)
            documents = [base.raw_of(row).tobytes() for row in range(first, end)]
            if raw_bytes > _DECODED_AT_ONCE:
                allow(raw_bytes // _SLOWEST)
            for row, what in self._opened.faults(documents, columns.rows(first, end), rows):
                yield first + row, what
            advance(raw_bytes)

    def _is_chosen(self, doc_id: NDArray[np.uint8]) -> bool:
        return self._sample is None or draw(doc_id.tobytes(), SAMPLE) < self._sample * 2**64


def _stretches(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of documents that are decoded together."""
    first, rows = 0, len(offsets) - 1
    while first < rows:
        end = int(np.searchsorted(offsets, offsets[first] + _DECODED_AT_ONCE, side="right")) - 1
        yield first, max(first + 1, end)
        first = max(first + 1, end)


def _length_faults(view: View, columns: ViewColumns, base: BaseColumns) -> Iterator[tuple[int, str]]:
    """Symbols or units that are out of range, or do not end where the document does: the first row of each kind."""
    raw_ends = _sums(columns.unit_bytes, columns.unit_offsets)
    yield from _first_row(raw_ends != np.diff(base.raw_offsets), "its units do not end where raw does")
    yield from _out_of_range("unit_bytes", columns.unit_bytes, columns.unit_offsets, 1, view.max_unit_bytes)
    if columns.unit_symbols is not None:
        symbol_ends = _sums(columns.unit_symbols, columns.unit_offsets)
        yield from _first_row(symbol_ends != np.diff(columns.symbol_offsets), "its units do not end where symbols do")
        yield from _out_of_range("unit_symbols", columns.unit_symbols, columns.unit_offsets, 1, view.max_unit_symbols)
    yield from _out_of_range("symbols", columns.symbols, columns.symbol_offsets, 0, view.n_symbols - 1)


def _first_row(wrong: NDArray[np.bool_], what: str) -> Iterator[tuple[int, str]]:
    if wrong.any():
        yield int(np.argmax(wrong)), what


def _out_of_range(
    name: str, values: NDArray[Any], offsets: NDArray[np.int64], low: int, high: int
) -> Iterator[tuple[int, str]]:
    values = values[: offsets[-1]]
    wrong = np.flatnonzero((values < low) | (values > high))
    if len(wrong):
        row = int(np.searchsorted(offsets, wrong[0], side="right")) - 1
        yield row, f"{name} has {int(values[wrong[0]])}, allowed is {low} … {high}"


def _sums(values: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each list."""
    sums = np.zeros(len(offsets) - 1, np.int64)
    filled = offsets[:-1] < offsets[1:]  # for an empty list, reduceat would take the next list's first value
    sums[filled] = np.add.reduceat(values[: offsets[-1]], offsets[:-1][filled], dtype=np.int64)
    return sums
