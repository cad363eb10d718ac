"""The kinds of models: how each is made from the settings, and what its layers cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pcdata.dataset import Dataset
from pctrain.config import RunConfig
from pctrain.data.schedule import Schedule
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder, LanguageModel
from pctrain.model.patched import ENTROPY_LAYERS, Patched
from pctrain.model.patcher import PATCHERS


class Stage(NamedTuple):
    """Layers that run together."""

    layers: int
    share: float
    """At how many of the positions."""
    attended: float
    """How many positions' scores are computed for each, masked ones too."""


def bare_model(config: RunConfig, n_ids: int) -> LanguageModel:
    """The model without what training methods add. Its weights are uninitialised until ``init_weights``.

    Raises ``ConfigError`` for settings that exclude each other.
    """
    if config.model.kind == "decoder":
        return Decoder(config.model, n_ids)
    _check_patched(config)
    return Patched(config.model, config.patched, n_ids)


def has_scratchpads(config: RunConfig) -> bool:
    return config.model.kind == "patched" and config.patched.scratchpads


def is_flexible(config: RunConfig) -> bool:
    """Whether its attention can be flex attention."""
    return config.model.kind == "decoder" and not config.model.reach


def total_layers(config: RunConfig) -> int:
    return sum(stage.layers for stage in stages(config, 1.0))


def entries_known(config: RunConfig) -> tuple[float, float]:
    """The least and the most entries per position of a model of patches, as far as its settings say: how many there
    are is known once they are counted (``LanguageModel.counts``)."""
    least = 1 / config.patched.length if config.patched.patches == "fixed" else 0.0
    return least, least if least and not config.patched.scratchpads else 1.0


def stages(config: RunConfig, entries: float) -> list[Stage]:
    """``entries`` are those per position of a model of patches."""
    model, patched, seq_len = config.model, config.patched, config.data.seq_len
    if model.kind == "decoder":
        return [Stage(model.layers, 1.0, seq_len)]
    of_bytes = patched.encoder_layers + patched.decoder_layers + ENTROPY_LAYERS * patched.scratchpads
    return [Stage(of_bytes, 1.0, min(seq_len, 2 * patched.reach)), Stage(model.layers, entries, entries * seq_len)]


def units_of_patches(config: RunConfig) -> str:
    """The view whose units are the patches; empty if none."""
    patches = config.patched.patches
    return patches if config.model.kind == "patched" and patches not in PATCHERS else ""


def check_views(config: RunConfig, datasets: Sequence[Dataset]) -> None:
    """Raises ``ConfigError`` unless each dataset has the view whose units are the patches."""
    name = units_of_patches(config)
    for dataset in datasets if name else ():
        views = [view.name for view in dataset.manifest.views]
        if name not in views:
            raise ConfigError(
                f"patched.patches must be one of {', '.join([*PATCHERS, *views])} (the views of {dataset.folder}), got "
                f"{name!r}"
            )


def _check_patched(config: RunConfig) -> None:
    if config.model.reach:
        raise ConfigError(
            f"model.reach={config.model.reach} is for decoders; model.kind=patched has patched.reach for its layers "
            "over bytes"
        )
    if config.boundaries.units and config.boundaries.distance == "unit":
        raise ConfigError("model.kind=patched cuts patches by positions; set boundaries.distance=byte")
    if config.superposition.bag:
        raise ConfigError("model.kind=patched reads bytes, not bags; set superposition.bag=0")
    if not Schedule.of(config).raw_only:
        modes = " and ".join(Schedule.of(config).modes)
        raise ConfigError(
            f"model.kind=patched reads raw bytes alone, but the mixture ({modes}) has compressed views; use --mode raw"
        )
