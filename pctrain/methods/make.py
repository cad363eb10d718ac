"""A run's model, and what its methods add to it. The one place that lists the methods."""

from __future__ import annotations

from typing import Final

import torch

from pctrain.config import RunConfig
from pctrain.data.units import RawUnits
from pctrain.errors import ConfigError
from pctrain.methods.alignment import Alignment
from pctrain.methods.boundaries import Boundaries
from pctrain.methods.superposition import Superposition
from pctrain.model.decoder import LanguageModel
from pctrain.model.kinds import bare_model, units_of_patches
from pctrain.model.method import Method

METHODS: Final[dict[str, type[Method]]] = {
    "superposition": Superposition,
    "boundaries": Boundaries,
    "alignment": Alignment,
}
"""By name, in the order in which they change a model."""


def make_model(config: RunConfig, n_ids: int) -> LanguageModel:
    """As ``bare_model``: its weights are uninitialised until ``init_weights``."""
    model = bare_model(config, n_ids)
    model.methods.update(methods_of(config))
    return model


def methods_of(config: RunConfig) -> dict[str, Method]:
    """Those that the settings ask for, by name."""
    return {name: made for name, method in METHODS.items() if (made := method.of(config)) is not None}


def units_wanted(config: RunConfig) -> str:
    """The view whose units a batch must number; empty for none. Raises ``ConfigError`` for several."""
    wanted = {units_of_patches(config), *(method.units(config) for method in METHODS.values())} - {""}
    if len(wanted) > 1:
        raise ConfigError(
            f"methods use the units of {' and '.join(sorted(wanted))}, but a run can use those of one view"
        )
    return wanted.pop() if wanted else ""


def suffixes_wanted(config: RunConfig) -> bool:
    """Whether a batch must have the symbols of these units too."""
    return any(method.needs_suffixes(config) for method in METHODS.values())


def raw_units(config: RunConfig) -> RawUnits | None:
    """The units that the model reads with raw bytes, also when it is evaluated; None if it reads none."""
    name = units_of_patches(config)
    return RawUnits(name, config.train.seed if config.data.placebo else None) if name else None


def parameters_of_methods(config: RunConfig) -> int:
    """How many parameters methods add to a model, without allocating them."""
    with torch.device("meta"):
        return sum(parameter.numel() for method in methods_of(config).values() for parameter in method.parameters())
