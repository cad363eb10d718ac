"""Which compressor is a good proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pcdata.commands.options import COMPRESSORS, INPUTS, PLOT, WORKERS, input_options, parse_span
from pcdata.commands.progress import BarReporter
from pcdata.shared_options import JSON, QUIET
from pcdata.terminal import answer, say


@click.command(context_settings={"default_map": {"val_fraction": 0.2}})
@INPUTS
@COMPRESSORS
@input_options
@click.option("--documents", default=200, show_default=True, help="The most documents that are probed.")
@click.option(
    "--document-bytes",
    metavar="A:B",
    callback=parse_span,
    default="2000:64000",
    show_default=True,
    help="Probe documents of at least A and at most B bytes.",
)
@click.option("--seed", default=0, show_default=True, help="Of the choice of documents, and of every edit.")
@PLOT
@JSON
@WORKERS
@QUIET
def probe(
    inputs: tuple[Path, ...],
    compressors: tuple[str, ...],
    documents: int,
    document_bytes: tuple[int, int],
    seed: int,
    plot: Path | None,
    as_json: bool,
    workers: int,
    quiet: bool,
    **rest: Any,
) -> None:
    """Measure which compressor is a good proxy.

    That is, how short, stable, local and unambiguous its symbols are. Compressors are fitted on a part of the input;
    documents of the other part are edited and compared. Writes nothing.
    """
    from pcdata.building.options import BuildOptions
    from pcdata.codecs.requests import parse_requests
    from pcdata.inspection.plotting import check_plot
    from pcdata.probing.probe import probe as measure
    from pcdata.probing.render import render
    from pcdata.probing.sample import ProbeOptions

    replaced = plot is not None and check_plot(plot)
    requests = tuple(parse_requests(compressors))
    # The output is nowhere: a trial puts a temporary folder in its place.
    options = BuildOptions(inputs=inputs, output=Path(), requests=requests, workers=workers, **rest)
    found = measure(ProbeOptions(options, documents, document_bytes, seed), BarReporter(quiet))
    answer(json.dumps(found.to_dict(), indent=1) if as_json else render(found))
    if plot is not None:
        from pcdata.probing.plot import plot as draw

        draw(found, plot)
        if not quiet:
            say(f"{plot}: {'replaced' if replaced else 'drawn'}")
