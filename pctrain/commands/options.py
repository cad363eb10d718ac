"""Arguments and options shared by several commands."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.shell import among
from pctrain.completion import complete_setting

PATH = click.Path(path_type=Path)
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
LANG = click.option(
    "--lang", "langs", multiple=True, metavar="NAME", help="Only documents in this language; may be repeated."
)
NO_VERIFY = click.option(
    "--no-verify", "verify", flag_value=False, default=True, help="Skip checking the data against their hashes."
)
CONFIG = click.option("--config", type=PATH, help="TOML file of settings; overrides the preset.")
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Setting, such as optim.lr=3e-4; may be repeated.",
)
RESTART = click.option("--restart", is_flag=True, help="Discard the run in the folder, and start over.")
