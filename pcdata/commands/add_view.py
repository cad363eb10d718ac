"""``pcdata add-view``: add views to an existing dataset."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.building.progress import Reporter
from pcdata.commands.options import COMPRESSORS, DATASET, WORKERS
from pcdata.shared_options import QUIET
from pcdata.terminal import say


@click.command("add-view")
@DATASET
@COMPRESSORS
@WORKERS
@QUIET
def add_view(dataset: Path, compressors: tuple[str, ...], workers: int, quiet: bool) -> None:
    """Add compressed views to a dataset.

    The files are then the same as if it had been built with them.

    Rerun the same command to resume after any interruption.
    """
    from pcdata.codecs.requests import parse_requests
    from pcdata.editing.add_view import add_views
    from pcdata.errors import OptionError

    requests = parse_requests(compressors)
    if not requests:
        raise OptionError("no view to add; name one with --compressor")
    manifest = add_views(dataset, requests, workers, Reporter(quiet))
    if not quiet:
        say(f"{dataset} has the views {', '.join(view.name for view in manifest.views)}")
