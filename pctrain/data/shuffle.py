"""The order of rows: a window of the stream of rows is laid out, and each batch draws some of its rows.

A document longer than a row fills several consecutive rows of the stream. In that order, a batch would have one
document or a few. So the rows of a window are permuted, and each batch takes the next few of them. Nothing else
changes: the contents of a row, and the appearance of a document, depend only on the position in the stream.

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

# These numbers are part of the sequence of batches: a run begun with others cannot be resumed within a window.
_FEWEST_BATCHES: Final = 64
_FEWEST_ROWS: Final = 1024
"""The least rows of a window while the share changes, if the phase has as many."""
_WINDOWS_OF_A_MOVING_SHARE: Final = 8
_BEYOND_THE_RUN: Final = 16
"""The most batches of the last window, in multiples of the batches left in the run."""
_MOST_SPANS: Final = 1 << 17
"""A window with this many spans ends early. Rows of short documents have many spans, each of which takes some
microseconds and 300 bytes; and this many documents are mixed well enough."""


def batches_of_window(schedule: Schedule, step: int, batch_rows: int, shuffle_rows: int) -> int:
    """How many batches of ``batch_rows`` the window that begins at ``step`` has: at most ``shuffle_rows`` rows, or one
    batch.

    A row may be used at any step of its window, so a window never crosses a phase of the mixture. While the share
    changes, a window is at most an eighth of the phase, so the share changes in steps of that length; but it is at
    least 64 batches and 1,024 rows, because few documents cost more than a finer share gains. (With bpe, 1,500 batches
    of 2 x 512, the share falling from 0.9 to 0 over the last 30 %: 2.72 bits per byte with windows of 128 rows, 2.62
    with one window.)

    The windows of a phase are about equally long. Only the last window of a run may extend past its end, so that a
    short run, too, has rows of many documents. (0.8 M parameters, raw bytes of the standard library, 500 batches of 4 x
    512: 2.44 with the rows of the run shuffled, 2.32 with the same number drawn from 32,000.)
    """
    most = max(1, shuffle_rows // batch_rows)
    if step >= schedule.steps or (phase := schedule.bounds(step)).is_open:
        return min(most, _BEYOND_THE_RUN * max(1, schedule.steps - step))
    if phase.share_moves:
        fewest = max(_FEWEST_BATCHES, _FEWEST_ROWS // batch_rows)
        most = min(most, max(fewest, (phase.end - phase.begin) // _WINDOWS_OF_A_MOVING_SHARE))
    left = phase.end - step
    windows = -(-left // most)
    return -(-left // windows)


class RowWindow:
    """Consecutive rows of the stream, laid out, and the order in which they are used: a function of the seed and the
    first step of the window."""

    def __init__(self, first_step: int, batches: int, lay_out: Callable[[int], list[Row]], seed: int) -> None:
        """``lay_out`` is given a step, and lays out the next batch of rows of the stream for it."""
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
        if self.end_step - first_step > 1:  # otherwise all are in one batch, whose rows have no order
            self._order = permute(self._order, len(self._rows), key_of(seed, Purpose.ROWS, first_step))

    def rows(self, step: int) -> list[Row]:
        """The rows of one global batch."""
        begin = (step - self.first_step) * self._batch_rows
        return [self._rows[place] for place in self._order[begin : begin + self._batch_rows].tolist()]
