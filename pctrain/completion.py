"""Completion of the options of ``pctrain``."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pcdata.shell import beginning
from pctrain.config import COLUMNS, SETTINGS, RunConfig, presets


def complete_setting(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``SECTION.NAME=VALUE`` of ``--set``."""
    key, equals, _ = begun.partition("=")
    kinds = dict(_settings())
    if not equals:
        return beginning((f"{name}=" for name in kinds), begun)
    words = ("true", "false") if kinds.get(key) is bool else SETTINGS[key].choices if key in SETTINGS else ()
    return beginning((f"{key}={word}" for word in words), begun)


def complete_preset(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return beginning(presets(), begun)


def complete_column(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``COLUMN=GLOB`` of ``--where``."""
    return beginning((f"{column}=" for column in COLUMNS), begun)


def complete_dataset(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``NAME=WEIGHT`` of ``--weight``: the folders named before it."""
    folders = context.params.get("shards") or context.args  # args: while the option's value is still being typed
    return beginning((f"{Path(folder).name}=" for folder in folders), begun)


def _settings() -> Iterator[tuple[str, Any]]:
    for section in dataclasses.fields(RunConfig):
        for name, kind in typing.get_type_hints(type(section.default)).items():
            yield f"{section.name}.{name}", kind
