"""The byte model of ``neural``: an exact decoder (``exact``) with the interface of the window coder.

A span begins with the raw-open mark, as a part of a document does in training. The decoder sees no more bytes than the
interface allows, so a prediction depends on the bytes before it in its span, and not on their position.

Legend: N bytes of spans laid end to end, S spans, C = 257 cumulative counts, V = 256 bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdata.codecs.byte_model import REACH_BYTES, TOTAL, CountTable, Predictions
from pcdata.dataset.vocab import FIRST_BYTE, RAW_OPEN
from pctrain.neural.exact import Exact, Past

_AT_ONCE: Final = 512
"""Positions per forward pass, approximately, so that intermediate values fit in the processor's level-2 cache."""
_STATES: Final = 4
_TABLES: Final = 4096


class NeuralModel:
    """A ``ByteModel``."""

    def __init__(self, exact: Exact) -> None:
        self._exact = exact
        self._states: list[_State] = []
        """Where the latest calls of ``following`` ended, most recent first."""
        self._tables: OrderedDict[bytes, CountTable] = OrderedDict()
        """Predictions after the latest contexts."""

    def predict(self, text_N: NDArray[np.uint8], starts_S: NDArray[np.int64]) -> Predictions:
        cumulative_NC = np.zeros((len(text_N), 257), np.uint32)
        begins_N = np.repeat(starts_S, np.diff(starts_S, append=len(text_N)))
        inputs_N = np.roll(text_N, 1).astype(np.int64) + FIRST_BYTE
        inputs_N[starts_S] = RAW_OPEN
        reach = self._exact.config.reach
        step = max(1, _AT_ONCE // reach) * reach
        with _one_thread(), torch.inference_mode():
            past = self._exact.no_past()
            for first in range(0, len(text_N), step):
                here = slice(first, first + step)
                inputs, begins = torch.from_numpy(inputs_N[here]), torch.from_numpy(begins_N[here] - first)
                odds, past = self._exact.odds(inputs, begins, past)
                np.cumsum(counts(odds), axis=1, out=cumulative_NC[here, 1:])
        return Predictions(CountTable(cumulative_NC), np.arange(len(text_N)))

    def following(self, context: bytes | bytearray) -> tuple[CountTable, int]:
        """Computed from the keys and values of a prefix of the context, if it is among the latest."""
        wanted = bytes(context)
        table = self._tables.pop(wanted, None)
        if table is None:
            table = self._advance(wanted)
        self._tables[wanted] = table
        if len(self._tables) > _TABLES:
            self._tables.popitem(last=False)
        return table, 0

    def _advance(self, wanted: bytes) -> CountTable:
        known = ((state, new) for state in self._states if (new := state.bytes_to(wanted)) is not None)
        state, new = next(known, (_State(b"", 0, self._exact.no_past()), wanted))
        fed = [*([] if state.positions else [RAW_OPEN]), *(FIRST_BYTE + byte for byte in new)]
        with _one_thread(), torch.inference_mode():
            begins = torch.full((len(fed),), -state.positions)
            odds, past = self._exact.odds(torch.tensor(fed), begins, state.past)
        others = [other for other in self._states if other is not state]
        self._states = [_State(wanted, state.positions + len(fed), past), *others[: _STATES - 1]]
        cumulative_RC = np.zeros((1, 257), np.uint32)
        np.cumsum(counts(odds[-1:]), axis=1, out=cumulative_RC[:, 1:])
        return CountTable(cumulative_RC)


@dataclass(frozen=True)
class _State:
    """The decoder's keys and values after a context."""

    context: bytes
    """The last ``REACH_BYTES`` bytes."""
    positions: int
    """The mark and all bytes so far."""
    past: Past

    def bytes_to(self, wanted: bytes) -> bytes | None:
        """The bytes to append so that the context ends with those wanted; None if that is impossible or none are.

        Once more than ``REACH_BYTES`` have passed, nothing before them matters, because the decoder does not see it.
        """
        if len(wanted) < REACH_BYTES:
            whole = self.positions == len(self.context) + 1
            return wanted[len(self.context) :] or None if whole and wanted.startswith(self.context) else None
        for n_new in range(1, REACH_BYTES // 2):
            if self.context.endswith(wanted[:-n_new]):
                return wanted[-n_new:]
        return None


def counts(odds_TV: Tensor) -> NDArray[np.int64]:
    """Odds → 16-bit counts, each at least 1: 1 plus the byte's share of the rest, rounded down. The remainder goes to
    the most likely byte, the first if there are several. [T, V]"""
    # Quotients of integers below 2^36 are further from the next integer than the rounding error of float64.
    shares_TV = (odds_TV * (TOTAL - 256)).div_(odds_TV.sum(1, keepdim=True)).floor_()
    counts_TV: NDArray[np.int64] = shares_TV.numpy().astype(np.int64) + 1
    likeliest_T1 = odds_TV.numpy().argmax(axis=1)[:, None]
    rest_T1 = TOTAL - counts_TV.sum(axis=1, keepdims=True)
    np.put_along_axis(counts_TV, likeliest_T1, np.take_along_axis(counts_TV, likeliest_T1, 1) + rest_T1, 1)
    return counts_TV


@contextmanager
def _one_thread() -> Iterator[None]:
    """A build has its own workers; more threads in each would only be in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
