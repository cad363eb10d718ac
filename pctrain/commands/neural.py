"""``pctrain neural``: the model of the codec ``neural``."""

from __future__ import annotations

from pathlib import Path

import click

from pcdata.shared_options import QUIET
from pcdata.terminal import say
from pctrain.commands.fit import exit_if_stopped
from pctrain.commands.options import CONFIG, NO_VERIFY, PATH, RESTART, SETTINGS, preset_option
from pctrain.options import settings_of_run

NEURAL_PRESET = "neural-1m"


@click.group()
def neural() -> None:
    """Train the byte model of pcdata's compressor neural."""


@neural.command("fit")
@click.argument("shards", type=PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the artifact and of its training run.")
@preset_option(NEURAL_PRESET)
@CONFIG
@SETTINGS
@RESTART
@NO_VERIFY
@QUIET
def neural_fit(
    shards: tuple[Path, ...],
    output: Path,
    preset: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    restart: bool,
    verify: bool,
    quiet: bool,
) -> None:
    """Train a byte model for --compressor neural:artifact=OUTPUT.

    It reads the raw bytes of SHARDS, and resumes as pctrain fit does. Short documents make better batches: build SHARDS
    with --max-document-bytes 2048.
    """
    from pctrain.neural.fit import RUN
    from pctrain.neural.fit import fit as fit_neural

    resolved = settings_of_run(None if restart else output / RUN, preset, config, [*settings], NEURAL_PRESET)
    outcome = fit_neural(shards, output, resolved, restart=restart, verify=verify, quiet=quiet)
    exit_if_stopped(outcome)
    if not quiet:
        say(f"{output}: use it with pcdata build --compressor neural:artifact={output}")
