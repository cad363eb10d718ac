"""How many parameters a model has."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch

from pctrain.config import RunConfig
from pctrain.model.kinds import bare_model

_OUTPUTS: Final = ("head.", "raw_head.")


class Size(NamedTuple):
    parameters: int
    without_embeddings: int
    """Without embeddings and the output matrices, which have a row for each id."""


def size_of(model: torch.nn.Module) -> Size:
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    embeddings = {f"{name}.weight" for name, each in model.named_modules() if isinstance(each, torch.nn.Embedding)}
    beside = sum(size for name, size in sizes.items() if name not in embeddings and not name.startswith(_OUTPUTS))
    return Size(sum(sizes.values()), beside)


def planned_size(config: RunConfig, n_ids: int) -> Size:
    """The size of a model without allocating it."""
    with torch.device("meta"):
        return size_of(bare_model(config, n_ids))
