"""``pctrain fit``: train, or resume training."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdata.sections import Command
from pcdata.shared_options import QUIET
from pcdata.shell import named_in, view_names
from pcdata.starting import EXIT_SIGNAL
from pctrain.commands.options import (
    CONFIG,
    LANG,
    NO_VERIFY,
    PATH,
    RESTART,
    SETTINGS,
    document_option,
    preset_option,
    setting_option,
    where_option,
)
from pctrain.completion import complete_dataset
from pctrain.config import MODES
from pctrain.method_presets import METHODS, by_method
from pctrain.options import DEFAULT_PRESET, filter_by, one_mode, settings_of_run, weighted_by

if TYPE_CHECKING:
    from pctrain.training.loop import Outcome


@click.command(cls=Command)
@click.argument("shards", type=PATH, nargs=-1, required=True)
@click.option("-o", "--output", "run", type=PATH, default="run", show_default=True, help="Folder of the run.")
@preset_option(DEFAULT_PRESET)
@document_option(
    "--view",
    "views",
    multiple=True,
    metavar="NAME[=WEIGHT]",
    shell_complete=named_in("shards", view_names),
    help="View to use; may be repeated. [default: all]",
)
@document_option(
    "--weight",
    "weights",
    multiple=True,
    metavar="NAME=WEIGHT",
    shell_complete=complete_dataset,
    help="Weight of a dataset, by its folder's name; may be repeated.",
)
@LANG
@where_option("Only matching documents, such as 'path=*/src/*'; may be repeated.")
@setting_option(
    "--method",
    type=click.Choice([*METHODS]),
    help="Training method; pctrain methods lists them. Overrides --config.",
)
@setting_option("--mode", type=click.Choice(MODES), help="One mode throughout, instead of the published schedule.")
@CONFIG
@SETTINGS
@RESTART
@NO_VERIFY
@QUIET
def fit(
    shards: tuple[Path, ...],
    run: Path,
    preset: str | None,
    views: tuple[str, ...],
    weights: tuple[str, ...],
    langs: tuple[str, ...],
    where: tuple[str, ...],
    method: str | None,
    mode: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    restart: bool,
    verify: bool,
    quiet: bool,
) -> None:
    """Train a model on one dataset or several, or resume a run.

    Rerun the same command to resume from the last checkpoint after any interruption; a resumed run keeps its settings
    unless new ones are given. Ctrl-C stops after the step in progress, with a checkpoint (exit code 130).
    """
    from pctrain.training.loop import fit as train

    names = [view.partition("=")[0] for view in views]
    of_method = by_method(method, names, shards)
    short = [*weighted_by("view", views), *weighted_by("weight", weights), *filter_by(langs, where), *one_mode(mode)]
    resolved = settings_of_run(None if restart else run, preset, config, [*of_method, *short, *settings])
    outcome = train(shards, run, resolved, restart=restart, verify=verify, quiet=quiet)
    exit_if_stopped(outcome)
    if not quiet:
        _say_what_next(outcome, run)


def exit_if_stopped(outcome: Outcome) -> None:
    if outcome.signal is not None:
        from pctrain.training.progress import say

        say(f"stopped by {outcome.signal.name} after step {outcome.step}, saved; rerun the same command to resume")
        sys.exit(EXIT_SIGNAL + outcome.signal)


def _say_what_next(outcome: Outcome, run: Path) -> None:
    """The result, its folder and the next command; nothing if the run was finished before."""
    from pctrain.training.progress import in_words, say

    if outcome.val is not None:
        command = shlex.join(["pctrain", "eval", str(run)])
        say(f"done: {in_words(outcome.val)} after {outcome.step:,} steps, in {run}; next: {command}")
