"""``pcdata config``: the options that a dataset was built with."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.commands.options import DATASET
from pcdata.terminal import answer


@click.command()
@DATASET
def config(dataset: Path) -> None:
    """Print the options that built a dataset, for --config."""
    from pcdata.building.config_file import render_config

    answer(render_config(dataset))
