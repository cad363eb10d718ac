"""The cost of training with methods: that of the plain model, and what each adds for the symbols that it was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pctrain.config import RunConfig
from pctrain.methods.make import METHODS
from pctrain.model.decoder import Counts
from pctrain.model.flops import flops_of_outputs, flops_of_step


def flops_of_steps(
    config: RunConfig,
    n_ids: int,
    steps: int,
    symbols_by_view: Mapping[str, int],
    compressed_bytes: int,
    entries: float | None = None,
) -> int:
    """Forward and backward, of steps that showed so many symbols of each view, ``compressed_bytes`` of raw bytes in
    those that are not raw; ``entries`` as in ``flops_per_position``."""
    of_methods = (method.further_outputs(config, symbols_by_view, compressed_bytes) for method in METHODS.values())
    return steps * flops_of_step(config, n_ids, entries) + sum(of_methods) * flops_of_outputs(config.model, n_ids)


def flops_of_line(config: RunConfig, n_ids: int, line: Mapping[str, Any]) -> int:
    """The same for a line of kind ``train`` in the log of a run."""
    data = line["data"]
    entries = Counts(**line["patches"]).entries if "patches" in line else None
    return flops_of_steps(config, n_ids, line["steps"], data["symbols_by_view"], data["compressed_bytes"], entries)
