"""``pcdata export-docs``: write the raw documents."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.building.progress import Reporter
from pcdata.commands.options import DATASET
from pcdata.completion import complete_language
from pcdata.shared_options import QUIET
from pcdata.shell import named_in, split_names
from pcdata.terminal import say
from pcdata.text import size


@click.command("export-docs")
@DATASET
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="New file NAME.jsonl (.jsonl.gz, .jsonl.zst) or NAME.parquet, new folder of files, or - for JSONL on standard "
    "output.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    shell_complete=named_in("dataset", split_names),
    help="train or val. [default: both]",
)
@click.option(
    "--lang",
    "langs",
    multiple=True,
    shell_complete=complete_language,
    help="Only documents in this language; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Only the first N documents. [default: all]")
@click.option("--text-key", default="text", show_default=True, help="Key of the text in records.")
@QUIET
def export_docs(
    dataset: Path, output: Path, splits: tuple[str, ...], langs: tuple[str, ...], limit: int, text_key: str, quiet: bool
) -> None:
    """Write the raw documents as files, JSONL or Parquet.

    Documents that were cut are whole again. In a folder, files are at SOURCE/PATH. JSON cannot hold bytes that are not
    UTF-8: such documents are left out, and counted.
    """
    from pcdata.dataset import Dataset
    from pcdata.exporting.export import check_export
    from pcdata.exporting.export import export_docs as write
    from pcdata.exporting.whole import Choice

    opened = Dataset(dataset)
    check_export(opened, output, text_key)
    choice = Choice(splits or tuple(opened.splits), langs, limit)
    total = sum(opened.split(name).raw_bytes for name in choice.splits)
    with Reporter(quiet).stage("export", total) as advance:
        done = write(opened, output, choice, text_key, advance)
    if not quiet:
        say(f"{output}: {done.documents:,} documents, {size(done.raw_bytes)}")
    if done.renamed:
        say(f"  {done.renamed:,} could not keep their path: it was taken, too long or led elsewhere")
    if done.left_out:
        say(f"  {done.left_out:,} are not UTF-8 and were left out; a folder of files or .parquet holds them")
