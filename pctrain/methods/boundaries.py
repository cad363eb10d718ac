"""Boundary priors: in the first part of a run, raw bytes that are told where the units of a view begin or end.

*Decoupling the Benefits of Subword Tokenization* (arXiv 2604.27263) adds to a byte model what subwords have, one thing
at a time: boundaries as a prior, a loss averaged per unit, embeddings of n-grams, distances in units. How its
boundaries enter a model is not published; here a learnt vector is added to the embedding of a byte. All of this is for
raw bytes. Marks, compressed symbols and bags are left as they are, also beside raw bytes.

What a byte's input tells of later bytes: with ``end`` whether its unit ends with it; all else only which units have
begun so far. That is not the past alone if the compressor looks ahead: for a BPE of 2,048 tokens on Python, 13 % of the
flags of starts differ from what the bytes so far would give. So all of this is for training.

Legend: R rows, T positions, C = T + 1 symbols of a row, N = R·T, D width, U units of a row.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pctrain.config import BoundariesConfig, ModelConfig, RunConfig
from pctrain.data.batch import NO_UNIT, SUFFIXES, UNITS
from pctrain.data.mixture import RAW
from pctrain.errors import ConfigError
from pctrain.model.method import Method, Rows


class Boundaries(Method):
    """A plain decoder before the first ``begin``. At strength 0 its parameters still get a gradient (of 0), which
    processes that share them must all have."""

    def __init__(self, config: BoundariesConfig, model: ModelConfig) -> None:
        """Raises ``ConfigError`` for distances in units where there are no rotary positions."""
        super().__init__()
        if config.distance == "unit" and model.reach:
            raise ConfigError(
                f"boundaries.distance=unit needs rotary positions, which model.reach={model.reach} replaces by biases; "
                "set one of them to its default"
            )
        self._config = config
        self._strength = 0.0
        self.flag = nn.Parameter(torch.empty(model.width)) if config.prior != "none" else None
        self.suffix = nn.Embedding(config.suffix, model.width) if config.suffix else None

    @classmethod
    def of(cls, config: RunConfig) -> Self | None:
        return cls(config.boundaries, config.model) if config.boundaries.units else None

    @classmethod
    def units(cls, config: RunConfig) -> str:
        return config.boundaries.units

    @classmethod
    def needs_suffixes(cls, config: RunConfig) -> bool:
        return config.boundaries.suffix > 0

    def init_weights(self, generator: torch.Generator) -> None:
        """A plain decoder at first."""
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()

    def begin(self, step: int, steps: int) -> None:
        self._strength = strength(self._config, step, steps)

    def note(self, step: int, steps: int) -> str:
        if not strength(self._config, max(0, step - 1), steps):
            return ""
        return f"without the boundaries of {self._config.units} that training had up to here"

    def embed(self, x_RTD: Tensor, rows: Rows, embed: nn.Embedding) -> Tensor:
        if self.flag is not None:
            flagged_RT = self._flagged(unit_numbers(rows)).to(x_RTD.dtype)
            x_RTD = x_RTD + self._strength * flagged_RT[..., None] * self.flag
        if self.suffix is not None:
            symbols_RT = rows.extras[SUFFIXES][:, :-1].long()
            known_RT1 = (symbols_RT != NO_UNIT)[..., None]
            e_RTD = self.suffix(symbols_RT.clamp(min=0) % self._config.suffix)
            x_RTD = x_RTD + self._strength * known_RT1 * e_RTD
        return x_RTD

    def _flagged(self, units_RC: Tensor) -> Tensor:
        if self._config.prior == "start":
            return starts(units_RC)[:, :-1]
        return (units_RC[:, :-1] != units_RC[:, 1:]) & (units_RC[:, :-1] != NO_UNIT)

    def positions(self, positions_RT: Tensor, rows: Rows) -> Tensor:
        if self._config.distance == "byte":
            return positions_RT
        return positions_RT + self._strength * (units_begun(positions_RT, unit_numbers(rows)) - positions_RT)

    def weigh(self, shares_N: Tensor, rows: Rows, ahead: int) -> Tensor:
        if self._config.loss == "byte":
            return shares_N
        weights_RC = unit_weights(unit_numbers(rows))
        weights_RT = F.pad(weights_RC[:, 1 + ahead :], (0, ahead), value=1.0)
        return shares_N * (1 + self._strength * (weights_RT.flatten() - 1))


def strength(config: BoundariesConfig, step: int, steps: int) -> float:
    """How much of the boundaries a step has, from 1 to 0: a pure function of the step."""
    end = round(config.fraction * steps)
    if step >= end:
        return 0.0
    return 1 - step / end if config.fade else 1.0


def unit_numbers(rows: Rows) -> Tensor:
    """The number of each raw byte's unit; NO_UNIT for all else. [R, C]"""
    is_raw_RC = F.pad(rows.target_views_RT == RAW, (1, 0), value=False)  # the first symbol of a row is a mark
    return torch.where(is_raw_RC, rows.extras[UNITS], NO_UNIT)


def starts(units_RC: Tensor) -> Tensor:
    """Which bytes begin a unit, or the part of one that is in the row. [R, C]"""
    before_RC = F.pad(units_RC[:, :-1], (1, 0), value=NO_UNIT)
    return (units_RC != before_RC) & (units_RC != NO_UNIT)


def units_begun(positions_RT: Tensor, units_RC: Tensor) -> Tensor:
    """How many units, and symbols that are no raw bytes, have begun since the first position of each sample. [R, T]"""
    steps_RT = (starts(units_RC) | (units_RC == NO_UNIT))[:, :-1]
    begun_RT = steps_RT.cumsum(1)
    first_RT = torch.arange(positions_RT.shape[1], device=positions_RT.device) - positions_RT
    return begun_RT - begun_RT.gather(1, first_RT)


def unit_weights(units_RC: Tensor) -> Tensor:
    """The weight of each symbol as a target: the mean length of the row's units, divided by that of its own; 1 for all
    that are no raw bytes. The mean over a row's raw bytes is 1, however rows are divided among processes. A unit that a
    row cuts counts as two. [R, C]"""
    is_raw_RC = units_RC != NO_UNIT
    starts_RC = starts(units_RC)
    numbers_RC = starts_RC.cumsum(1) * is_raw_RC
    lengths_RU = torch.zeros_like(numbers_RC).scatter_add(1, numbers_RC, is_raw_RC.long())
    mean_R1 = is_raw_RC.sum(1, keepdim=True) / starts_RC.sum(1, keepdim=True).clamp(min=1)
    return torch.where(is_raw_RC, mean_R1 / lengths_RU.gather(1, numbers_RC).clamp(min=1), 1.0)
