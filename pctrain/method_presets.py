"""What ``--method`` stands for: settings by the name of a training method. docs/methods.md explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pcdata.errors import meant
from pctrain.errors import ConfigError
from pctrain.settings import Layer, nested

VIEW: Final = "VIEW"
"""Stands for the name of the view that a method uses."""


@dataclass(frozen=True)
class MethodPreset:
    """A method by its settings."""

    summary: str
    settings: Mapping[str, Any]
    """By full name; names and values may be ``VIEW``."""

    @property
    def needs_view(self) -> bool:
        return any(VIEW in (name.rpartition(".")[2], value) for name, value in self.settings.items())


_NONE: Final = {
    "superposition.bag": 0,
    "superposition.view": "",
    "superposition.units": "",
    "superposition.mixture": False,
    "boundaries.units": "",
    "alignment.weight": 0.0,
    "model.kind": "decoder",
}
"""No other method: a preset, a file or a resumed run may have one."""
_ONE_PHASE: Final = {
    "mixture.warmup_fraction": 0.0,
    "mixture.warmup_steps": 0,
    "mixture.decay_fraction": 0.0,
    "mixture.decay_steps": 0,
}
_RAW: Final = {**_NONE, **_ONE_PHASE, "mixture.mode": "raw"}

METHODS: Final = {
    "raw": MethodPreset("raw bytes alone: the baseline", _RAW),
    "tokens": MethodPreset(
        "the symbols of one view alone, as a model with a tokenizer",
        {**_RAW, "mixture.mode": "compressed", "data.views.VIEW": 1.0},
    ),
    "proxy": MethodPreset(
        "proxy compression as published: pairs first, then nine of ten documents compressed",
        {
            **_NONE,
            "mixture.warmup_mode": "translation",
            "mixture.mode": "mixed",
            "mixture.warmup_fraction": 0.2,
            "mixture.warmup_share": 0.4,
            "mixture.share": 0.9,
        },
    ),
    "tst": MethodPreset(
        "token superposition: bags of four raw bytes for 30 % of the steps, then raw bytes",
        {**_RAW, "superposition.bag": 4, "superposition.fraction": 0.3},
    ),
    "unit-bags": MethodPreset(
        "the same with the units of a view as bags",
        {**_RAW, "superposition.bag": 8, "superposition.fraction": 0.3, "superposition.units": VIEW},
    ),
    "boundaries": MethodPreset(
        "raw bytes that are told where the units of a view begin, for 30 % of the steps",
        {**_RAW, "boundaries.units": VIEW, "boundaries.prior": "start", "boundaries.fraction": 0.3},
    ),
    "patched": MethodPreset(
        "a model most of whose layers run once per patch of bytes, with scratchpads where bytes are hard to predict",
        {**_RAW, "model.kind": "patched", "patched.patches": "spaces", "patched.scratchpads": True},
    ),
    "aligned": MethodPreset(
        "proxy compression with pairs throughout, whose two states of each unit are drawn together",
        {
            **_RAW,
            "mixture.mode": "translation",
            "mixture.share": 0.5,
            "data.views.VIEW": 1.0,
            "alignment.weight": 1.0,
        },
    ),
}


def by_method(name: str | None, views: Sequence[str], shards: Sequence[Path]) -> list[Layer]:
    """``--method`` as settings. A method that uses a view takes the one that is named, or the only one there is.

    Raises ``ConfigError`` for an unknown method, or if it is not clear which view.
    """
    if name is None:
        return []
    if name not in METHODS:
        raise ConfigError(f"unknown method {name!r}; {meant(name, METHODS)}")
    method = METHODS[name]
    view = _view(name, views, shards) if method.needs_view else ""
    filled = {
        key.replace(f".{VIEW}", f".{view}"): view if value == VIEW else value for key, value in method.settings.items()
    }
    return [nested(key, value) for key, value in filled.items()]


def _view(method: str, views: Sequence[str], shards: Sequence[Path]) -> str:
    from pcdata.dataset import Dataset
    from pctrain.data.datasets import view_names

    known = views or view_names([Dataset(folder) for folder in shards])
    if len(known) != 1:
        there = f"there are {', '.join(known)}" if known else "the dataset has none: add one with pcdata add-view"
        raise ConfigError(f"--method {method} uses one view, named with --view; {there}")
    return known[0]
