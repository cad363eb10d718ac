"""A run's model, and what its methods add to it. The one place that lists the methods."""

from __future__ import annotations

from collections.abc import Iterator

from pctrain.config import RunConfig
from pctrain.data.units import RawUnits
from pctrain.methods.superposition import Superposition
from pctrain.model.decoder import LanguageModel
from pctrain.model.kinds import bare_model, units_of_patches
from pctrain.model.method import Method


def make_model(config: RunConfig, n_ids: int) -> LanguageModel:
    """As ``bare_model``: its weights are uninitialised until ``init_weights``."""
    model = bare_model(config, n_ids)
    model.methods.update(dict(_methods(config, n_ids)))
    return model


def _methods(config: RunConfig, n_ids: int) -> Iterator[tuple[str, Method]]:
    if config.superposition.bag:
        yield "superposition", Superposition(config.superposition, config.model.width)


def units_wanted(config: RunConfig) -> str:
    """The view whose units a batch must number; empty for none."""
    return units_of_patches(config)


def raw_units(config: RunConfig) -> RawUnits | None:
    """The units that the model reads with raw bytes, also when it is evaluated; None if it reads none."""
    name = units_of_patches(config)
    return RawUnits(name, config.train.seed if config.data.placebo else None) if name else None
