"""A run's model: a decoder, and what its methods add to it. The one place that lists the methods."""

from __future__ import annotations

from collections.abc import Iterator

from pctrain.config import RunConfig
from pctrain.methods.alignment import Alignment, aligned_view
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


def units_wanted(config: RunConfig) -> str:
    """The view whose units a batch must number; empty for none."""
    return aligned_view(config) if config.alignment.weight else ""
