"""Arguments and options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from pcdata.sections import Option
from pcdata.shell import among
from pctrain.completion import complete_column, complete_preset, complete_setting

PATH = click.Path(path_type=Path)

document_option = partial(click.option, cls=Option, section="Documents")
setting_option = partial(click.option, cls=Option, section="Settings")

CHECKPOINT = click.option(
    "--checkpoint",
    "which",
    default="last",
    show_default=True,
    shell_complete=among("last", "best"),
    help="last, best, or a step.",
)
DEVICE = click.option(
    "--device",
    default="auto",
    show_default=True,
    shell_complete=among("auto", "cpu", "cuda"),
    help="auto, cpu, cuda, or cuda:N.",
)
SCRATCHPAD_THRESHOLD = click.option(
    "--scratchpad-threshold",
    "threshold",
    type=float,
    metavar="BITS",
    help="Entropy from which scratchpads are used, instead of patched.threshold: inf for none.",
)


def preset_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    help = f"Settings to start from; pctrain presets lists them. [default: {default}]"
    return setting_option("--preset", metavar="NAME", shell_complete=complete_preset, help=help)


def where_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return document_option("--where", multiple=True, metavar="COLUMN=GLOB", shell_complete=complete_column, help=help)


LANG = document_option(
    "--lang", "langs", multiple=True, metavar="NAME", help="Only documents in this language; may be repeated."
)
NO_VERIFY = click.option(
    "--no-verify", "verify", flag_value=False, default=True, help="Skip checking the data against their hashes."
)
CONFIG = setting_option("--config", type=PATH, help="TOML file of settings; overrides the preset.")
SETTINGS = setting_option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Setting, such as optim.lr=3e-4; pctrain settings lists them; may be repeated.",
)
RESTART = click.option("--restart", is_flag=True, help="Discard the run in the folder, and start over.")
