"""Completion of the options of ``pctrain``."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.shell import beginning
from pctrain.config import COLUMNS, SETTINGS, RunConfig, presets


def complete_setting(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``SECTION.NAME=VALUE`` of ``--set``."""
    key, equals, _ = begun.partition("=")
    if not equals:
        return beginning((f"{name}=" for name in SETTINGS), begun)
    if key not in SETTINGS:
        return []
    section, _, name = key.partition(".")
    is_bool = isinstance(getattr(getattr(RunConfig(), section), name), bool)
    words = ("true", "false") if is_bool else SETTINGS[key].choices
    return beginning((f"{key}={word}" for word in words), begun)


def complete_preset(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return beginning(presets(), begun)


def complete_section(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return beginning(dict.fromkeys(name.partition(".")[0] for name in SETTINGS), begun)


def complete_column(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``COLUMN=GLOB`` of ``--where``."""
    return beginning((f"{column}=" for column in COLUMNS), begun)


def complete_dataset(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``NAME=WEIGHT`` of ``--weight``: the folders named before it."""
    folders = context.params.get("shards") or context.args  # args: while the option's value is still being typed
    return beginning((f"{Path(folder).name}=" for folder in folders), begun)
