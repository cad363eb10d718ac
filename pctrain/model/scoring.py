"""Documents → bits: the only code that cuts documents into windows and scores them (law 8).

A document is read as in training: ``[BOS] <open> symbols``, with BOS at its beginning only. If it does not fit into a
window, it continues in the next one after a new open mark. Marks are shown and never scored; every symbol is scored
exactly once. With a stride smaller than the window, later windows begin with symbols already scored, as context.

Legend: R windows, T positions, N scored symbols, D width, K documents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdata.dataset.vocab import BOS, PAD, ViewIds
from pctrain.data.batch import NO_UNIT, UNITS
from pctrain.errors import ConfigError
from pctrain.model.decoder import LanguageModel
from pctrain.model.loss import symbol_bits

_LOGITS_AT_ONCE = 1 << 23
"""Logits held at a time; for a large vocabulary, the output layer is applied in pieces."""


@dataclass(frozen=True)
class Score:
    """Sums over scored symbols; ``+`` adds them."""

    symbols: int = 0
    bits: float = 0.0
    """Under the softmax over the view's own ids."""
    full_bits: float = 0.0
    """Under the softmax over all ids."""

    def __add__(self, other: Score) -> Score:
        return Score(self.symbols + other.symbols, self.bits + other.bits, self.full_bits + other.full_bits)


@dataclass(frozen=True)
class Windowing:
    """How documents are cut into windows."""

    seq_len: int
    """Predicted positions of a window, including its marks."""
    stride: int
    """Symbols from one window to the next; if seq_len, nothing is shown twice."""

    def __post_init__(self) -> None:
        if self.seq_len < 2:
            raise ConfigError(f"the window must be at least 2 positions, got {self.seq_len}")
        if not 1 <= self.stride <= self.seq_len:
            raise ConfigError(f"the stride must be 1 … {self.seq_len} (the window), got {self.stride}")


@dataclass(frozen=True, eq=False)
class Window:
    """One row to score: the opening marks, then ids, which are scored from ``scored_from`` on."""

    opening: tuple[int, ...]
    ids: NDArray[np.int64]
    scored_from: int
    units: NDArray[np.int64] | None = None
    """The number of each id's unit, for a model that reads them."""


def cut(
    symbols: NDArray[np.unsignedinteger],
    view: ViewIds,
    begins: bool,
    windowing: Windowing,
    units: NDArray[np.int64] | None = None,
) -> Iterator[Window]:
    """The windows of one document. ``begins`` is false for the later parts of a document that was cut at build;
    ``units`` are the numbers of the symbols' units, for a model that reads them."""

    def window(opening: tuple[int, ...], start: int, end: int, scored: int) -> Window:
        return Window(opening, ids[start:end], scored - start, None if units is None else units[start:end])

    ids = symbols.astype(np.int64) + view.first_id
    opening = (BOS, view.open_id) if begins else (view.open_id,)
    # The first predicted position of a window that begins with BOS is the open mark, so it holds one symbol less.
    end = min(len(ids), windowing.seq_len + 1 - len(opening))
    if end:
        yield window(opening, 0, end, 0)
    while end < len(ids):
        scored, end = end, min(len(ids), end + windowing.stride)
        start = max(0, end - windowing.seq_len)
        yield window((view.open_id,), start, end, scored)


def jackknife_error(bits_K: NDArray[np.floating], sizes_K: NDArray[np.integer] | NDArray[np.floating]) -> float:
    """The standard error of Σ bits / Σ sizes over a sample of documents, from the ratios without each one of them
    (Efron and Stein 1981, *The jackknife estimate of variance*).

    Documents were sampled, not bytes: the bytes of one are not independent. The linearised error (Cochran 1977,
    *Sampling Techniques*, section 6.4) is too small for few documents of which some are long. A document of size 0 says
    nothing about the ratio, and does not count. Raises ``ValueError`` if fewer than two count.
    """
    has_size_K = sizes_K > 0
    n_documents = int(has_size_K.sum())
    if n_documents < 2:
        raise ValueError("a standard error needs two documents that are not empty")
    without_K = (bits_K.sum() - bits_K[has_size_K]) / (sizes_K.sum() - sizes_K[has_size_K])
    return math.sqrt((n_documents - 1) * float(without_K.var()))


def scores(
    model: LanguageModel, windows: Iterable[Window], view: ViewIds, rows: int, device: torch.device
) -> Iterator[Score]:
    """Score each window, ``rows`` at a time. That number changes the sums by rounding only, and no counts."""
    windows = iter(windows)
    while batch := list(islice(windows, rows)):
        yield from _score_batch(model, batch, view, device)


@torch.no_grad()
def _score_batch(model: LanguageModel, windows: list[Window], view: ViewIds, device: torch.device) -> Iterator[Score]:
    """Score some windows in one forward pass, each a row padded on the right to the longest."""
    n_positions = max(len(window.opening) + len(window.ids) - 1 for window in windows)
    inputs_RT, targets_RT = np.full((2, len(windows), n_positions), PAD, np.int64)
    for row, window in enumerate(windows):
        first = len(window.opening) - 1
        inputs_RT[row, : first + len(window.ids)] = np.concatenate([window.opening, window.ids[:-1]])
        targets_RT[row, first + window.scored_from : first + len(window.ids)] = window.ids[window.scored_from :]
    scored_RT = targets_RT != PAD
    here_RT = torch.from_numpy(scored_RT).to(device)
    extras = {name: torch.from_numpy(array).to(device) for name, array in _extras(windows, n_positions).items()}
    hidden_ND = model.hidden(torch.from_numpy(inputs_RT).to(device), extras=extras)[here_RT]
    bits_N, full_bits_N = _symbol_bits(model, hidden_ND, torch.from_numpy(targets_RT).to(device)[here_RT], view)
    symbols_R = scored_RT.sum(axis=1).tolist()
    by_window = (torch.split(of_symbols, symbols_R) for of_symbols in (bits_N, full_bits_N))
    for symbols, bits, full_bits in zip(symbols_R, *by_window, strict=True):
        yield Score(symbols, float(bits.sum()), float(full_bits.sum()))


def _extras(windows: list[Window], n_positions: int) -> dict[str, NDArray[np.int64]]:
    """As in training (``data.extras``), if the windows have units."""
    units_RT = np.full((len(windows), n_positions), NO_UNIT)
    for row, window in enumerate(windows):
        if window.units is None:
            return {}
        first = len(window.opening)
        units_RT[row, first : first + len(window.ids) - 1] = window.units[:-1]
    return {UNITS: units_RT}


def _symbol_bits(model: LanguageModel, hidden_ND: Tensor, targets_N: Tensor, view: ViewIds) -> tuple[Tensor, Tensor]:
    """As ``symbol_bits``, float64 [N] each, with the logits of a large vocabulary computed in pieces."""
    positions = max(1, _LOGITS_AT_ONCE // model.head.out_features)
    pieces = zip(torch.split(hidden_ND, positions), torch.split(targets_N, positions), strict=True)
    found = [symbol_bits(model.logits(hidden), targets, view.first_id, view.end_id) for hidden, targets in pieces]
    bits, full_bits = zip(*found, strict=True)
    return torch.cat(bits).cpu(), torch.cat(full_bits).cpu()
