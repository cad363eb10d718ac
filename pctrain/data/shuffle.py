"""In which order rows are shown: a window of the stream of rows is laid out, and each batch draws some of its rows.

A document that is longer than a row fills many rows of the stream, one after the other. Shown in that order, a batch
would be one document, or a few. So the rows of a window are permuted, and each batch takes the next few of them.
Nothing else changes: a row holds what it would hold without, and how a document is shown is settled by its place in the
stream.

As published: there, each process shuffles the rows of 64 of its batches (Zheng et al. 2026, with the loader of Meta
lingua).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pcdata.dataset.splitmix import key_of
from pctrain.data.draws import Purpose
from pctrain.data.layout import Row
from pctrain.data.order import permute
from pctrain.data.schedule import Schedule

# These numbers are part of the sequence of batches: a run begun under others cannot be resumed within a window.
_FEWEST_BATCHES: Final = 64
_FEWEST_ROWS: Final = 1024
"""Of a window while the share moves, if the phase has so many."""
_WINDOWS_OF_A_MOVING_SHARE: Final = 8
_BEYOND_THE_RUN: Final = 16
"""How many times the batches that are left of a run its last window may hold."""
_MOST_SPANS: Final = 1 << 17
"""At which a window ends early. Where documents are short, a row has many spans; each costs some microseconds and 300
bytes, and so many are documents enough."""


def batches_of_window(schedule: Schedule, step: int, batch_rows: int, shuffle_rows: int) -> int:
    """How many batches of ``batch_rows`` the window that begins at ``step`` holds: of ``shuffle_rows`` at most, or one.

    Its rows are shown at any of its steps, so a window ends where a phase of the mixture does. While the share moves,
    a window is at most an eighth of the phase, so that the share moves by steps of that length; but at least 64 batches
    and 1,024 rows, since few documents cost more than a coarse share gains. (Through bpe, 1,500 batches of 2 x 512, the
    share falling from 0.9 to 0 over the last 30 %: 2.72 bits per byte with windows of 128 rows, 2.62 with one window.)

    The windows of a phase are about equally long. Only one at the run's end may go beyond it, so that a short run, too,
    is shown rows of many documents. (0.8 M parameters, raw bytes of the standard library, 500 batches of 4 x 512: 2.44
    with the rows of the run shuffled, 2.32 with as many out of 32,000.)
    """
    most = max(1, shuffle_rows // batch_rows)
    phase = schedule.bounds(step)
    if phase.end is None:
        return min(most, _BEYOND_THE_RUN * max(1, schedule.steps - step))
    if phase.share_moves:
        fewest = max(_FEWEST_BATCHES, _FEWEST_ROWS // batch_rows)
        most = min(most, max(fewest, (phase.end - phase.begin) // _WINDOWS_OF_A_MOVING_SHARE))
    left = phase.end - step
    windows = -(-left // most)
    return -(-left // windows)


class RowWindow:
    """Consecutive rows of the stream, laid out, and the order in which they are shown: a function of the seed and the
    window's first step."""

    def __init__(self, first_step: int, batches: int, lay_out: Callable[[int], list[Row]], seed: int) -> None:
        """``lay_out`` lays out the next rows of the stream, as many as a batch has: those of the step it is given."""
        self.first_step = first_step
        self._rows: list[Row] = []
        self.end_step = first_step
        spans = 0
        while self.end_step < first_step + batches and spans < _MOST_SPANS:
            laid_out = lay_out(self.end_step)
            spans += sum(len(row.spans) for row in laid_out)
            self._rows += laid_out
            self.end_step += 1
        self._batch_rows = len(self._rows) // (self.end_step - first_step)
        self._order = np.arange(len(self._rows), dtype=np.uint64)
        if self.end_step - first_step > 1:  # else all of them are in one batch, and its rows have no order
            self._order = permute(self._order, len(self._rows), key_of(seed, Purpose.ROWS, first_step))

    def rows(self, step: int) -> list[Row]:
        """Those of one global batch."""
        begin = (step - self.first_step) * self._batch_rows
        return [self._rows[place] for place in self._order[begin : begin + self._batch_rows].tolist()]
