"""``pctrain plot``: runs as curves."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.shared_options import QUIET
from pcdata.terminal import say
from pctrain.commands.options import PATH


@click.command()
@click.argument("runs", type=PATH, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="curves.png",
    show_default=True,
    help="PNG, PDF or SVG file; an existing figure is replaced.",
)
@QUIET
def plot(runs: tuple[Path, ...], output: Path, quiet: bool) -> None:
    """Draw the training curves of one run or several.

    The curves show bits per raw byte against steps, symbols, raw bytes and training flops.
    """
    from pctrain.inference.plot import plot as draw

    replaced = draw(runs, output)
    if not quiet:
        say(f"{output}: {'replaced, ' * replaced}{len(runs)} run{'s' * (len(runs) > 1)}")
