"""``pcdata merge``: one dataset from several."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.building.progress import Reporter
from pcdata.commands.options import PATH, WORKERS
from pcdata.shared_options import QUIET
from pcdata.terminal import say


@click.command()
@click.argument("datasets", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the dataset.")
@WORKERS
@QUIET
def merge(datasets: tuple[Path, ...], output: Path, workers: int, quiet: bool) -> None:
    """Merge datasets that have the same views.

    Of identical documents in several of them, only the first is kept.

    Rerun the same command to resume after any interruption.
    """
    from pcdata.editing.merge import merge as join

    result = join(datasets, output, workers, Reporter(quiet))
    if not quiet:
        if result.was_complete:
            say(f"{output} is there already, of the same parts; nothing to do")
            return
        shards = result.manifest.base.shards
        amount = f"{sum(shard.documents for shard in shards):,} documents"
        say(f"merged {len(datasets)} datasets into {output}: {amount}, {len(shards)} shards")
