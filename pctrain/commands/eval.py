"""``pctrain eval``: bits per raw byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pcdata.shared_options import JSON, QUIET
from pcdata.shell import among
from pcdata.terminal import answer
from pctrain.commands.options import CHECKPOINT, DEVICE, LANG, PATH, SCRATCHPAD_THRESHOLD, where_option
from pctrain.config import resolve
from pctrain.options import filter_by


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--split", default="val", show_default=True, shell_complete=among("train", "val"), help="Split to measure."
)
@CHECKPOINT
@click.option("--data", type=PATH, help="Folder of the dataset, if it was moved.")
@click.option("--batch-rows", "rows", type=click.IntRange(1), help="Windows per forward pass.")
@click.option("--stride", type=click.IntRange(1), help="Symbols from one window to the next. [default: the window]")
@click.option("--by", type=click.Choice(["lang", "source"]), help="Also by language, or by input of the build.")
@LANG
@where_option("Only matching documents; 'path=*' measures all. [default: as in the run]")
@SCRATCHPAD_THRESHOLD
@DEVICE
@JSON
@QUIET
def eval(run: Path, langs: tuple[str, ...], where: tuple[str, ...], as_json: bool, quiet: bool, **asked: Any) -> None:
    """Measure a model in bits per raw byte.

    The table also shows gzip, zstd, and byte n-grams of the train split.
    """
    from pctrain.inference.evaluate import evaluate_run

    chosen = filter_by(langs, where)
    asked["where"] = resolve(None, None, chosen).data.where if chosen else None
    result = evaluate_run(run, quiet=quiet, **asked)
    if result is not None:  # under torchrun, only the first process has it
        answer(json.dumps(result.to_dict(), indent=1) if as_json else result.table())
