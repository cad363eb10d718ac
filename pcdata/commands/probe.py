"""``pcdata probe``: which compressor is a good proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pcdata.building.progress import Reporter
from pcdata.commands.options import COMPRESSORS, CONFIG, INPUTS, PLOT, WORKERS, options_of, parse_span
from pcdata.probing.options import DOCUMENT_BYTES, VAL_FRACTION, ProbeOptions
from pcdata.sections import Command, Option
from pcdata.shared_options import JSON, QUIET
from pcdata.terminal import answer, say


@click.command(cls=Command, context_settings={"default_map": {"val_fraction": VAL_FRACTION}})
@INPUTS
@COMPRESSORS
@options_of(ProbeOptions, leave_out=("shard_bytes",))
@click.option(
    "--document-bytes",
    metavar="A:B",
    callback=parse_span,
    default="{}:{}".format(*DOCUMENT_BYTES),
    show_default=True,
    cls=Option,
    section=ProbeOptions.section,
    help="Only documents of A to B bytes.",
)
@CONFIG
@PLOT
@JSON
@WORKERS
@QUIET
def probe(
    inputs: tuple[Path, ...], compressors: tuple[str, ...], plot: Path | None, as_json: bool, quiet: bool, **rest: Any
) -> None:
    """Measure which compressor is a good proxy.

    A good one has short, stable, local and unambiguous symbols. Compressors are fitted on one part of the input;
    documents of the other part are edited and compared. Writes nothing.
    """
    from pcdata.codecs.requests import parse_requests
    from pcdata.plotting import check_plot
    from pcdata.probing.probe import probe as measure
    from pcdata.probing.results import render

    replaced = plot is not None and check_plot(plot)
    options = ProbeOptions.of(inputs, parse_requests(compressors), **rest)
    found = measure(options, Reporter(quiet))
    answer(json.dumps(found.to_dict(), indent=1) if as_json else render(found))
    if plot is not None:
        from pcdata.probing.plot import plot as draw

        draw(found, plot)
        if not quiet:
            say(f"{plot}: {'replaced' if replaced else 'drawn'}")
