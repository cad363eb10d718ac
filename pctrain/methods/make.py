"""A run's model, and what its methods add to it. The one place that lists the methods."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pctrain.config import RunConfig
from pctrain.data.units import RawUnits
from pctrain.errors import ConfigError
from pctrain.methods.alignment import Alignment, aligned_view
from pctrain.methods.boundaries import Boundaries
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
    if config.alignment.weight:
        yield "alignment", Alignment(config.alignment, config.model.layers)
    if config.boundaries.units:
        yield "boundaries", Boundaries(config.boundaries, config.model)


def units_wanted(config: RunConfig) -> str:
    """The view whose units a batch must number; empty for none."""
    wanted = {units_of_patches(config), config.boundaries.units} - {""}
    if config.alignment.weight:
        wanted.add(aligned_view(config))
    if len(wanted) > 1:
        raise ConfigError(
            f"methods use the units of {' and '.join(sorted(wanted))}, but a run can use those of one view"
        )
    return wanted.pop() if wanted else ""


def raw_units(config: RunConfig) -> RawUnits | None:
    """The units that the model reads with raw bytes, also when it is evaluated; None if it reads none."""
    name = units_of_patches(config)
    return RawUnits(name, config.train.seed if config.data.placebo else None) if name else None


def suffixes_wanted(config: RunConfig) -> bool:
    """Whether a batch must have the symbols before its bytes (``batch.SUFFIXES``), of the same view."""
    return config.boundaries.suffix > 0


def parameters_of_methods(config: RunConfig, n_ids: int) -> int:
    """How many parameters methods add to a decoder, without allocating them."""
    with torch.device("meta"):
        return sum(parameter.numel() for _, method in _methods(config, n_ids) for parameter in method.parameters())
