"""A run's model: a decoder, and what its methods add to it. The one place that lists the methods."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pctrain.config import RunConfig
from pctrain.errors import ConfigError
from pctrain.methods.alignment import Alignment, aligned_view
from pctrain.methods.boundaries import Boundaries
from pctrain.methods.superposition import Superposition
from pctrain.model.decoder import Decoder
from pctrain.model.method import Method


def make_model(config: RunConfig, n_ids: int) -> Decoder:
    """As ``Decoder``: its weights are uninitialised until ``init_weights``."""
    model = Decoder(config.model, n_ids)
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
    wanted = {aligned_view(config)} if config.alignment.weight else set()
    wanted |= {config.boundaries.units} - {""}
    if len(wanted) > 1:
        raise ConfigError(
            f"methods use the units of {' and '.join(sorted(wanted))}, but a run can use those of one view"
        )
    return wanted.pop() if wanted else ""


def suffixes_wanted(config: RunConfig) -> bool:
    """Whether a batch must have the symbols before its bytes (``batch.SUFFIXES``), of the same view."""
    return config.boundaries.suffix > 0


def parameters_of_methods(config: RunConfig, n_ids: int) -> int:
    """How many parameters methods add to a decoder, without allocating them."""
    with torch.device("meta"):
        return sum(parameter.numel() for _, method in _methods(config, n_ids) for parameter in method.parameters())
