"""Alignment: where a unit of a pair ends, its raw state and its compressed state are drawn together.

Both states have read the same bytes, and what follows is the same. In a row that shows both sides, a raw position could
then find its place on the other side by its own state alone, and read on there: it could translate.

* Which layers: *Bolmo* (arXiv 2512.15586) matches states a few layers above the embeddings, and in decoders the middle
  layers align languages best (Liu and Niehues 2025, arXiv 2502.14830). Bytes need layers to become a unit, a symbol
  needs none, so each side has a layer of its own.
* Which distance: contrast, as Liu and Niehues, is the cross-entropy of the unit's own compressed state among those of
  the pair. What all states have in common does not count, as it does for the cosine. The other units are those of the
  same pair, so that a term depends on one pair: not on its row, nor on how rows are divided.
* Which side moves: both, or one, with a stop-gradient on the other as in *SimSiam* (Chen and He 2021). In small runs
  raw states learned less when they alone had to move. Predictor and projection are left out: the loss of the symbols
  keeps states from collapsing, and a trained model stays plain.

Only a pair has units on both of its sides: in one sample, or in two in parallel. Units shown once do not take part, nor
a unit whose last symbol has no state, because it is a row's last target. With ``data.placebo`` units end anywhere in
the raw bytes.

Legend: R rows, T positions, C = T + 1 symbols of a row, U places for the units of a row that are on both sides of a
pair, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from pctrain.config import AlignmentConfig, RunConfig
from pctrain.data.batch import NO_UNIT, NO_VIEW, UNITS
from pctrain.data.mixture import RAW
from pctrain.data.schedule import Schedule
from pctrain.errors import ConfigError
from pctrain.model.method import Method, Rows

_TEMPERATURE: Final = 0.1


class Points(NamedTuple):
    """Where the units end that are on both sides of a pair."""

    raw_RU: Tensor
    """The position of the unit's last raw byte."""
    view_RU: Tensor
    """The position of its last symbol."""
    is_point_RU: Tensor
    """False where a row has no more: the positions there mean nothing."""


class Alignment(Method):
    needs_states = True

    def __init__(self, config: AlignmentConfig, layers: int) -> None:
        """Raises ``ConfigError`` for a layer that the model does not have."""
        super().__init__()
        for name in ("raw_layer", "view_layer"):
            if (layer := getattr(config, name)) > layers:
                raise ConfigError(f"alignment.{name} must be at most model.layers={layers}, got {layer}")
        self._config = config

    @classmethod
    def of(cls, config: RunConfig) -> Self | None:
        return cls(config.alignment, config.model.layers) if config.alignment.weight else None

    @classmethod
    def units(cls, config: RunConfig) -> str:
        return aligned_view(config) if config.alignment.weight else ""

    def loss(self, states_RTD: Sequence[Tensor], rows: Rows) -> Tensor | None:
        if UNITS not in rows.extras:
            return None
        config, points = self._config, points_of(rows)
        raw_RUD = _directions(states_RTD[config.raw_layer], points.raw_RU)
        view_RUD = _directions(states_RTD[config.view_layer], points.view_RU)
        if config.stop_gradient == "view":
            view_RUD = view_RUD.detach()
        elif config.stop_gradient == "raw":
            raw_RUD = raw_RUD.detach()
        if config.distance == "cosine":
            nats_RU = 1 - (raw_RUD * view_RUD).sum(-1)
        else:
            samples_RU = rows.samples_RT.gather(1, points.raw_RU)
            nats_RU = _contrast(raw_RUD, view_RUD, samples_RU, points.is_point_RU)
        return config.weight * torch.where(points.is_point_RU, nats_RU, 0).sum()


def points_of(rows: Rows) -> Points:
    """The units of each row that end on both sides of a pair, those of the first pair first. U = T // 2."""
    units_RC, views_RT = rows.extras[UNITS].long(), rows.target_views_RT
    units_RT = units_RC[:, :-1]
    ends_RT = (units_RT != NO_UNIT) & (units_RT != units_RC[:, 1:])
    is_raw_RT = F.pad(views_RT[:, :-1], (1, 0), value=NO_VIEW) == RAW
    raw_RC, view_RC = (_places(units_RC, ends_RT & side_RT) for side_RT in (is_raw_RT, ~is_raw_RT))
    both_RC = (raw_RC >= 0) & (view_RC >= 0)
    first_RU = both_RC.int().sort(dim=1, descending=True, stable=True).indices[:, : units_RT.shape[1] // 2]
    raw_RU, view_RU, is_point_RU = (array.gather(1, first_RU) for array in (raw_RC, view_RC, both_RC))
    return Points(raw_RU.clamp(min=0), view_RU.clamp(min=0), is_point_RU)


def _places(units_RC: Tensor, chosen_RT: Tensor) -> Tensor:
    """For each number of a unit the position that was chosen for it; -1 if none."""
    rows, symbols = units_RC.shape
    positions_RT = torch.arange(symbols - 1, device=units_RC.device).expand(rows, -1)
    units_RT = torch.where(chosen_RT, units_RC[:, :-1], symbols)
    return units_RC.new_full((rows, symbols + 1), -1).scatter(1, units_RT, positions_RT)[:, :symbols]


def _directions(states_RTD: Tensor, at_RU: Tensor) -> Tensor:
    """The states at these positions, at least in float32, with length 1."""
    at_RUD = at_RU[..., None].expand(-1, -1, states_RTD.shape[-1])
    chosen_RUD = states_RTD.gather(1, at_RUD)
    return F.normalize(chosen_RUD.to(torch.promote_types(chosen_RUD.dtype, torch.float32)), dim=-1)


def _contrast(raw_RUD: Tensor, view_RUD: Tensor, samples_RU: Tensor, is_point_RU: Tensor) -> Tensor:
    """The nats of each raw state's own compressed state among those of its pair. [R, U]"""
    with torch.autocast(raw_RUD.device.type, enabled=False):
        scores_RUU = raw_RUD @ view_RUD.transpose(1, 2) / _TEMPERATURE
    in_pair_RUU = (samples_RU[:, :, None] == samples_RU[:, None]) & is_point_RU[:, None]
    own_RU = scores_RUU.diagonal(dim1=1, dim2=2)
    return scores_RUU.masked_fill(~in_pair_RUU, -torch.inf).logsumexp(2) - own_RU


def aligned_view(config: RunConfig) -> str:
    """The view of the pairs. Raises ``ConfigError`` if the settings leave none or several, or if no phase has pairs."""
    modes, used, named = Schedule.of(config).modes, sorted(config.data.views), config.alignment.view
    if not {*modes} & {"translation", "parallel"}:
        raise ConfigError(
            f"alignment.weight needs pairs, but the modes are {', '.join(modes)}: set mixture.mode to translation or "
            "parallel, or alignment.weight to 0"
        )
    if named not in used and (named or len(used) > 1):
        raise ConfigError(f"alignment.view must be one of {', '.join(used)}, got {named!r}")
    return named or used[0]
