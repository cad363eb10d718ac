"""``pcdata report``: a dataset as a page for a browser."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.commands.options import DATASET
from pcdata.shared_options import QUIET
from pcdata.terminal import say
from pcdata.text import size


@click.command()
@DATASET
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Page to write, .html; an existing one is replaced.",
)
@click.option("--documents", default=40, show_default=True, help="Documents that can be explored.")
@click.option("--document-bytes", default=6_000, show_default=True, help="Bytes shown of each.")
@click.option("--seed", default=0, show_default=True, help="Seed for selecting documents.")
@click.option(
    "--probe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Output of pcdata probe --json, to be included.",
)
@QUIET
def report(
    dataset: Path, output: Path, documents: int, document_bytes: int, seed: int, probe: Path | None, quiet: bool
) -> None:
    """Write a page for a browser: figures, and units to explore."""
    from pcdata.dataset import Dataset
    from pcdata.inspection.report.page import check_report, read_probe, write_report

    replaced = check_report(output, documents, document_bytes)
    found = None if probe is None else read_probe(probe)
    write_report(Dataset(dataset), output, documents, document_bytes, seed, found)
    if not quiet:
        done = "replaced" if replaced else "written"
        say(f"{output}: {done}, {size(output.stat().st_size)}; open it in a browser")
