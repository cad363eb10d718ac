"""The slice of val that a run is measured on: raw bits per byte, and their standard error.

It has many short windows rather than a few documents: the bytes of one document resemble each other, and five long ones
said more about themselves than about the model. The windows are spread evenly over all bytes that the filter keeps, so
that every byte is equally likely to be measured. They stay the same for the whole run.

Legend: B blocks, K documents with a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pcdata.dataset import Split
from pcdata.dataset.vocab import RAW_VIEW
from pctrain.data.filter import Filter
from pctrain.data.units import RawUnits
from pctrain.errors import DataError
from pctrain.model.decoder import LanguageModel
from pctrain.model.scoring import Score, Window, Windowing, cut, jackknife_error, scores


class Piece(NamedTuple):
    """Some bytes of one document."""

    block: int
    row: int
    start_bytes: int
    end_bytes: int
    """Exclusive."""
    document: int
    """The input document, which may have several parts: the number of its first part in the split."""


class ValSlice:
    """Windows of val's raw bytes: equally many from each dataset, or all that it has."""

    def __init__(
        self,
        splits: Sequence[Split],
        max_bytes: int,
        seq_len: int,
        rows: int,
        only: Filter,
        units: RawUnits | None = None,
    ) -> None:
        """``units``: for a model that reads them.

        Raises ``DataError`` for a split of which the filter keeps no bytes.
        """
        self._rows = rows
        self._windows: list[Window] = []
        self._documents: list[tuple[int, int]] = []
        """The dataset's number and the document of each window."""
        self.raw_bytes = 0
        windowing = Windowing(seq_len, seq_len)
        for number, split in enumerate(splits, 1):
            before = self.raw_bytes
            wanted = max(1, max_bytes * number // len(splits) - before)
            for piece in pieces(split, only, wanted, seq_len - 1):
                base = split.base(piece.block)
                raw = base.raw_of(piece.row)[piece.start_bytes : piece.end_bytes]
                begins = piece.start_bytes == 0 and base.part_starts[piece.row] == 0
                numbers = None
                if units is not None:
                    numbers = units.of(split, piece.block, piece.row, piece.start_bytes, piece.end_bytes)
                windows = [*cut(raw, RAW_VIEW, begins, windowing, numbers)]
                self._windows += windows
                self._documents += [(number, piece.document)] * len(windows)
                self.raw_bytes += len(raw)
            if self.raw_bytes == before:
                raise DataError(
                    f"the val split of {split.dataset.folder} has no bytes to measure on"
                    f"{f' in documents that have {only}' if only else ''}; build it from more"
                )

    def measure(self, model: LanguageModel, device: torch.device) -> dict[str, Any]:
        """For a line of kind ``val``; as ``pctrain eval`` scores windows, without overlap.

        The standard error is over documents, each with all of its windows, because the bytes of one document are not
        independent. With a single document there is none, and no key for it.
        """
        model.eval()
        model.counts(anew=True)
        by_document: dict[tuple[int, int], Score] = {}
        found = scores(model, self._windows, RAW_VIEW, self._rows, device)
        for document, one in zip(self._documents, found, strict=True):
            by_document[document] = by_document.get(document, Score()) + one
        counts = model.counts(anew=True)
        model.train()
        total = sum(by_document.values(), Score())
        values: dict[str, Any] = {
            "raw_bits_per_byte": total.bits / self.raw_bytes,
            "raw_bits_per_byte_full_softmax": total.full_bits / self.raw_bytes,
            "raw_bits": total.bits,
            "raw_bytes": self.raw_bytes,
        }
        if counts is not None:
            values["patches"] = counts._asdict()
        if len(by_document) > 1:
            bits_K, sizes_K = np.array([(one.bits, one.symbols) for one in by_document.values()]).T
            values["raw_bits_per_byte_standard_error"] = jackknife_error(bits_K, sizes_K)
        return values


def pieces(split: Split, only: Filter, max_bytes: int, longest: int) -> Iterator[Piece]:
    """Pieces of at most ``longest`` bytes, evenly spread over the documents that the filter keeps, ``max_bytes`` in
    all; whole documents if there are no more than that. Reads one block at a time."""
    totals_B = np.array([_kept(split, only, block)[1][-1:].sum() for block in range(split.n_blocks)], np.int64)
    n_bytes = int(totals_B.sum())
    all_of_it = np.array([0]), np.array([n_bytes])
    starts, ends = spread(n_bytes, max_bytes, longest) if max_bytes < n_bytes else all_of_it
    first_part, block_end = 0, 0
    for block, total in enumerate(totals_B.tolist()):
        block_start, block_end = block_end, block_end + total
        first_parts = _first_parts(split, block, first_part)
        first_part = int(first_parts.max(initial=first_part))
        rows, row_ends = _kept(split, only, block)
        inside = slice(np.searchsorted(ends, block_start, "right"), np.searchsorted(starts, block_end))
        for start, end in zip(starts[inside].tolist(), ends[inside].tolist(), strict=True):
            at, stop = max(start, block_start) - block_start, min(end, block_end) - block_start
            while at < stop:
                k = int(np.searchsorted(row_ends, at, "right"))
                row_start, row_end = int(row_ends[k - 1]) if k else 0, int(row_ends[k])
                row, until = int(rows[k]), min(stop, row_end)
                yield Piece(block, row, at - row_start, until - row_start, int(first_parts[row]))
                at = until


def spread(n_bytes: int, wanted: int, longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and exclusive ends of ranges in ``n_bytes``: of at most ``longest`` bytes each and ``wanted`` in all, none
    overlapping another, with gaps between them that differ by at most one byte."""
    count = -(-wanted // longest)
    taken = wanted * np.arange(count + 1, dtype=np.int64) // count
    gaps = (n_bytes - wanted) * (2 * np.arange(count, dtype=np.int64) + 1) // (2 * count)
    return taken[:-1] + gaps, taken[1:] + gaps


def _kept(split: Split, only: Filter, block: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The rows of a block that the filter keeps, and the running sum of their bytes."""
    base = split.base(block)
    rows = np.flatnonzero(only.rows(base)) if only else np.arange(len(base))
    return rows, np.cumsum(np.diff(base.raw_offsets)[rows])


def _first_parts(split: Split, block: int, before: int) -> NDArray[np.int64]:
    """For each row of a block, the number of the first part of its document, which may be ``before`` the block."""
    part_starts = split.base(block).part_starts
    first = int(split.block_documents[:block].sum())
    numbers = np.arange(first, first + len(part_starts))
    begun: NDArray[np.int64] = np.maximum.accumulate(np.where(part_starts == 0, numbers, before))
    return begun
