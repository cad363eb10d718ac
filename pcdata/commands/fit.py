"""``pcdata fit``: an artifact of one codec, for several builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pcdata.building.options import DatasetOptions
from pcdata.building.progress import Reporter
from pcdata.commands.options import CONFIG, INPUTS, WORKERS, input_options, output_of
from pcdata.completion import complete_codec
from pcdata.sections import Command
from pcdata.shared_options import QUIET
from pcdata.terminal import say
from pcdata.text import size


@click.command(cls=Command)
@click.argument("codec", metavar="CODEC[:OPTION=VALUE,…]", shell_complete=complete_codec)
@INPUTS
@output_of("artifact")
@input_options
@WORKERS
@CONFIG
@QUIET
def fit(codec: str, inputs: tuple[Path, ...], output: Path, workers: int, quiet: bool, **rest: Any) -> None:
    """Fit a compressor once, for any number of builds.

    Builds use it with --compressor CODEC:artifact=FOLDER. The sample is the one that a build of the same inputs and
    options would take, never from val.
    """
    from pcdata.building.fit_artifact import fit_artifact
    from pcdata.codecs.requests import parse_request

    request = parse_request(codec)
    result = fit_artifact(DatasetOptions.of(inputs, [request], **rest), output, workers, Reporter(quiet))
    if not quiet:
        fitted_on, files = result.record.fitted_on, result.record.files
        done = "is there already, from the same inputs and options" if result.was_there else "fitted"
        say(
            f"{output}: {request.codec} {done}; {fitted_on.documents:,} documents, "
            f"{size(fitted_on.raw_bytes)}; {len(files)} files of {size(sum(file.bytes for file in files))}. "
            f"Use it with --compressor {request.codec}:artifact={output}"
        )
