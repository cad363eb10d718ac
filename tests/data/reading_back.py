"""Reading batches back, by marks and sample numbers alone: what a model would see, and which documents that was.

Written against the format and the laws, not against the packer: nothing here is taken from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_CLOSE, RAW_OPEN
from pctrain.data.batch import IGNORE, Batch
from tests.data.made_dataset import IDS, encode

RAW = "raw"
_MARKS = {RAW: (RAW_OPEN, RAW_CLOSE, FIRST_BYTE)}
_MARKS |= {name: (ids.open_id, ids.close_id, ids.first_id) for name, ids in IDS.items()}
_OPENED = {marks[0]: name for name, marks in _MARKS.items()}
_FIRST_SYMBOL = 64


@dataclass(frozen=True)
class Side:
    """An open mark and what follows it."""

    view: str
    symbols: list[int]
    closed: bool


@dataclass(frozen=True)
class Sample:
    row: int
    column: int
    bos: bool
    sides: list[Side]


@dataclass
class Shown:
    """A document put together again from its samples."""

    samples: list[Sample] = field(default_factory=list)
    symbols: dict[str, list[int]] = field(default_factory=dict)

    @property
    def views(self) -> list[str]:
        return list(self.symbols)

    @property
    def ended(self) -> bool:
        return bool(self.samples) and all(side.closed for side in self.samples[-1].sides)

    def find(self, documents: Iterable[bytes]) -> bytes:
        """Which document it was: by its compressed symbols, or else its bytes."""
        view = next((view for view in self.views if view != RAW), RAW)
        whole = self.symbols[view]
        return next(
            raw for raw in documents if (list(raw) if view == RAW else encode(raw, view).symbols.tolist()) == whole
        )


def symbols_of_rows(batch: Batch) -> Iterator[list[list[int]]]:
    """Per row, the ids of each sample; the row's last symbol is a target only."""
    arrays = batch.arrays
    for inputs, targets, numbers in zip(arrays.inputs_RT, arrays.targets_RT, arrays.samples_RT, strict=True):
        samples = [inputs[numbers == number].tolist() for number in range(1, numbers.max() + 1)]
        if targets[-1] != IGNORE:
            samples[-1].append(int(targets[-1]))
        yield samples


def read_samples(batches: Iterable[Batch]) -> Iterator[Sample]:
    """All samples of consecutive global batches (of one rank), in order."""
    row = 0
    for batch in batches:
        for samples in symbols_of_rows(batch):
            column = 0
            for ids in samples:
                yield Sample(row, column, ids[0] == BOS, list(_read_sides(ids[ids[0] == BOS :])))
                column += len(ids)
            row += 1


def read_documents(batches: Iterable[Batch]) -> Iterator[Shown]:
    """The documents of consecutive global batches, in order; the last may be cut short."""
    shown = Shown()
    for sample in read_samples(batches):
        shown.samples.append(sample)
        for side in sample.sides:
            shown.symbols.setdefault(side.view, []).extend(side.symbols)
        if shown.ended:
            yield shown
            shown = Shown()
    if shown.samples:
        yield shown


def _read_sides(ids: list[int]) -> Iterator[Side]:
    while ids:
        view = _OPENED[ids[0]]
        _, close, first = _MARKS[view]
        end = next((place for place, id_ in enumerate(ids) if place and id_ < _FIRST_SYMBOL), len(ids))
        closed = end < len(ids) and ids[end] == close
        yield Side(view, [id_ - first for id_ in ids[1:end]], closed)
        ids = ids[end + closed :]


def same(a: Batch, b: Batch) -> bool:
    """Whether two batches are equal to the symbol, sums and cursor included."""
    return (
        all(np.array_equal(x, y) for x, y in zip(a.arrays, b.arrays, strict=True))
        and a.extras.keys() == b.extras.keys()
        and all(np.array_equal(array, b.extras[name]) for name, array in a.extras.items())
        and a.stats == b.stats
        and a.cursor == b.cursor
    )
