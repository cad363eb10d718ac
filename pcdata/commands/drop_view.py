"""``pcdata drop-view``: a dataset without one of its views."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.commands.options import DATASET
from pcdata.shared_options import QUIET
from pcdata.shell import named_in, view_names
from pcdata.terminal import say


@click.command("drop-view")
@DATASET
@click.argument("name", shell_complete=named_in("dataset", view_names))
@QUIET
def drop_view(dataset: Path, name: str, quiet: bool) -> None:
    """Remove a view and its files from a dataset."""
    from pcdata.editing.drop_view import drop_view as drop

    manifest = drop(dataset, name)
    if not quiet:
        left = ", ".join(view.name for view in manifest.views) or "none"
        say(f"{dataset} is without {name}; its views: {left}")
