"""``pcdata show``: a document, unit by unit."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from pcdata.commands.options import DATASET, parse_span
from pcdata.shell import named_in, view_names
from pcdata.terminal import answer


@click.command()
@DATASET
@click.option("--doc", "selector", default="0", show_default=True, help="Number, path, or start of an id.")
@click.option(
    "--view",
    "views",
    multiple=True,
    shell_complete=named_in("dataset", view_names),
    help="View to show; may be repeated. [default: all]",
)
@click.option("--bytes", "span", metavar="A:B", callback=parse_span, help="Only these raw bytes of the document.")
@click.option("--width", type=int, default=None, help="Columns. [default: the terminal's]")
def show(dataset: Path, selector: str, views: tuple[str, ...], span: tuple[int, int] | None, width: int | None) -> None:
    """Print a document, unit by unit, with its views side by side."""
    from pcdata.dataset import Dataset
    from pcdata.inspection.show import show as draw

    columns = width or shutil.get_terminal_size((100, 24)).columns
    colour = wants_colour()
    text = draw(Dataset(dataset), selector, views or None, columns, span=span, colour=colour)
    answer(text, coloured=colour)


def wants_colour() -> bool:
    """On a terminal, unless NO_COLOR is set and not empty (no-color.org)."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
