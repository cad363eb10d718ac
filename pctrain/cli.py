"""``pctrain``: train, evaluate, generate. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdata.shell import among, named_in, view_names
from pcdata.starting import EXIT_SIGNAL
from pcdata.terminal import Data, answer, say
from pctrain.completion import complete_column, complete_dataset, complete_preset, complete_setting
from pctrain.config import MODES, presets, resolve
from pctrain.group import Group
from pctrain.options import DEFAULT_PRESET, filter_by, one_mode, settings_of_run, weighted_by

if TYPE_CHECKING:
    from pctrain.training.loop import Outcome

_PATH = click.Path(path_type=Path)
_CHECKPOINT = click.option(
    "--checkpoint",
    "which",
    default="last",
    show_default=True,
    shell_complete=among("last", "best"),
    help="last, best, or a step.",
)
_DEVICE = click.option(
    "--device",
    default="auto",
    show_default=True,
    shell_complete=among("auto", "cpu", "cuda"),
    help="auto, cpu, cuda, or cuda:N.",
)
_LANG = click.option(
    "--lang", "langs", multiple=True, metavar="NAME", help="Only documents in this language; may be repeated."
)
_NO_VERIFY = click.option(
    "--no-verify", "verify", flag_value=False, default=True, help="Do not compare the data's files with their hashes."
)
NEURAL_PRESET = "neural-1m"
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What says how the threads of an OpenMP wait for each other: of any, of GNU's, of LLVM's and Intel's."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="proxy-compression")
@click.pass_context
def main(context: click.Context) -> None:
    """Train byte-level language models on the datasets that pcdata builds."""
    context.with_resource(_environment())


@main.command()
@click.argument("shards", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", "run", type=_PATH, default="run", show_default=True, help="Folder of the run.")
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=complete_preset,
    help=f"Settings to begin from: {', '.join(presets())}. [default: {DEFAULT_PRESET}]",
)
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="NAME[=WEIGHT]",
    shell_complete=named_in("shards", view_names),
    help="View to use; may be repeated. [default: all]",
)
@click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="NAME=WEIGHT",
    shell_complete=complete_dataset,
    help="Of a dataset, by its folder's name.",
)
@_LANG
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=GLOB",
    shell_complete=complete_column,
    help="Only documents like this, such as 'path=*/src/*'; likewise.",
)
@click.option("--mode", type=click.Choice(MODES), help="One mode throughout, instead of the published schedule.")
@click.option("--config", type=_PATH, help="TOML file of settings, over the preset.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="One setting, such as optim.lr=3e-4.",
)
@click.option("--restart", is_flag=True, help="Throw away what the run's folder holds, and begin anew.")
@_NO_VERIFY
@click.option("--quiet", is_flag=True, help="A plain line per measurement, and nothing else.")
def fit(
    shards: tuple[Path, ...],
    run: Path,
    preset: str | None,
    views: tuple[str, ...],
    weights: tuple[str, ...],
    langs: tuple[str, ...],
    where: tuple[str, ...],
    mode: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    restart: bool,
    verify: bool,
    quiet: bool,
) -> None:
    """Train on the dataset SHARDS, or on several at once, or go on with the run in the output folder.

    A run that was stopped or killed goes on from its last checkpoint when the same command is given again, with the
    run's own settings where none are given. Ctrl-C stops after the step in progress, with a checkpoint (exit code 130).
    """
    from pctrain.training.loop import fit as train

    short = [
        *weighted_by("view", views),
        *weighted_by("weight", weights),
        *filter_by(langs, where),
        *one_mode(mode),
    ]
    resolved = settings_of_run(None if restart else run, preset, config, [*short, *settings])
    outcome = train(shards, run, resolved, restart=restart, verify=verify, quiet=quiet)
    _exit_if_stopped(outcome)
    if not quiet:
        _say_what_next(outcome, run)


@main.command("eval")
@click.argument("run", type=_PATH)
@click.option(
    "--split", default="val", show_default=True, shell_complete=among("train", "val"), help="Split to measure on."
)
@_CHECKPOINT
@click.option("--data", type=_PATH, help="Where the dataset lies now, if it was moved.")
@click.option("--batch-rows", "rows", type=click.IntRange(1), help="Windows per forward pass.")
@click.option("--stride", type=click.IntRange(1), help="Symbols by which windows move on. [default: the window]")
@click.option("--by", type=click.Choice(["lang", "source"]), help="Also by language, or by input of the build.")
@_LANG
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=GLOB",
    shell_complete=complete_column,
    help="Only documents like this; 'path=*' measures all. [default: as in the run]",
)
@_DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="Neither a bar nor lines of progress.")
def evaluate(
    run: Path,
    split: str,
    which: str,
    data: Path | None,
    rows: int | None,
    stride: int | None,
    by: str | None,
    langs: tuple[str, ...],
    where: tuple[str, ...],
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bits per raw byte of the model in RUN, beside gzip, zstd, and n-grams of the train split."""
    from pctrain.inference.evaluate import evaluate_run

    chosen = filter_by(langs, where)
    result = evaluate_run(
        run,
        split=split,
        which=which,
        data=data,
        rows=rows,
        stride=stride,
        by=by,
        where=resolve(None, None, chosen).data.where if chosen else None,
        device=device,
        quiet=quiet,
    )
    if result is not None:  # under torchrun only the first process has it
        answer(json.dumps(result.to_dict(), indent=1) if as_json else result.table())


@main.command()
@click.argument("run", type=_PATH)
@click.option("--prompt", default="", help="Text to go on from.")
@click.option("--max-bytes", type=int, default=500, show_default=True)
@click.option("--temperature", type=float, default=0.8, show_default=True, help="0 takes the likeliest byte.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Draw among the likeliest with this mass.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--stop", metavar="TEXT", help="Stop before this text.")
@click.option(
    "--no-drafts", "drafts", flag_value=False, default=True, help="One byte a pass, also with model.predict_heads."
)
@_CHECKPOINT
@_DEVICE
def generate(
    run: Path,
    prompt: str,
    max_bytes: int,
    temperature: float,
    top_p: float,
    seed: int,
    stop: str | None,
    drafts: bool,
    which: str,
    device: str,
) -> None:
    """Let the model in RUN go on from a text, byte by byte."""
    from pctrain.inference.generate import Generation, Sampling, characters, until
    from pctrain.model.device import choose_device
    from pctrain.training.run_folder import load_model

    sampling = Sampling(max_bytes, temperature, top_p, seed)
    model, state = load_model(run, which, choose_device(device))
    start = os.fsencode(prompt)
    made = Generation(model, start, sampling, state.config.data.seq_len, drafts=drafts)
    shown = Data()
    for text in chain(characters(chain(start, until(iter(made), os.fsencode(stop or "")))), "\n"):
        shown.write(text.encode())
        shown.flush()
    if made.bytes_made > made.passes:
        rate = made.bytes_made / made.passes
        say(f"{made.bytes_made:,} bytes in {made.passes:,} passes of the model: {rate:.2f} a pass")


@main.command()
@click.argument("run", type=_PATH)
@click.option("-o", "--output", type=_PATH, required=True, help="Folder to write.")
@_CHECKPOINT
def export(run: Path, output: Path, which: str) -> None:
    """Write the model in RUN for Hugging Face transformers: LlamaForCausalLM and tokenizer over raw bytes."""
    from pctrain.inference.export import export_run

    done = export_run(run, output, which)
    there = ", was there already" if done.was_there else ""
    said = f"{done.parameters:,} parameters, of step {done.step:,}{there}; open it with transformers"
    say(f"{output}: {said}")


@main.command()
@click.argument("runs", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, default="curves.png", show_default=True, help="PNG, PDF or SVG to write.")
def plot(runs: tuple[Path, ...], output: Path) -> None:
    """Raw bits per byte of RUNS against steps, symbols, raw bytes and training flops."""
    from pctrain.inference.plot import plot as draw

    draw(runs, output)
    say(f"{output}: {len(runs)} run{'s' * (len(runs) > 1)}")


@main.group()
def neural() -> None:
    """The byte model behind pcdata's codec "neural"."""


@neural.command("fit")
@click.argument("shards", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="Folder of the artifact, and of the run that makes it.")
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=complete_preset,
    help=f"Settings to begin from. [default: {NEURAL_PRESET}]",
)
@click.option("--config", type=_PATH, help="TOML file of settings, over the preset.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="One setting, such as train.steps=3000.",
)
@click.option("--restart", is_flag=True, help="Throw away what the folder's run holds, and begin anew.")
@_NO_VERIFY
@click.option("--quiet", is_flag=True, help="A plain line per measurement, and nothing else.")
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
    """Train a byte model on the raw bytes of SHARDS, for --compressor neural:artifact=OUTPUT.

    Goes on where it was stopped, like pctrain fit. Documents cut short make better batches: build SHARDS with
    --max-document-bytes 2048.
    """
    from pctrain.neural.fit import RUN
    from pctrain.neural.fit import fit as fit_neural

    resolved = settings_of_run(None if restart else output / RUN, preset, config, [*settings], NEURAL_PRESET)
    outcome = fit_neural(shards, output, resolved, restart=restart, verify=verify, quiet=quiet)
    _exit_if_stopped(outcome)
    say(f"{output}: use it with pcdata build --compressor neural:artifact={output}")


def _exit_if_stopped(outcome: Outcome) -> None:
    if outcome.signal is not None:
        from pctrain.training.progress import say

        say(f"stopped by {outcome.signal.name} after step {outcome.step}, saved; rerun the same command to resume")
        sys.exit(EXIT_SIGNAL + outcome.signal)


def _say_what_next(outcome: Outcome, run: Path) -> None:
    """What came out, where it lies, and the command to type now; nothing of a run that was finished before."""
    from pctrain.training.progress import in_words, say

    if outcome.val is not None:
        command = shlex.join(["pctrain", "eval", str(run)])
        say(f"done: {in_words(outcome.val)} after {outcome.step:,} steps, in {run}; next: {command}")


@contextmanager
def _environment() -> Iterator[None]:
    """What a command's environment says beside what the user has it say; after the command it is as it was.

    torch starts processes, which are to run no code from the working folder. And its threads are to sleep while they
    wait for each other, unless the user has said how they are to wait: by default they spin, and where other programs
    want the processors too they spin away the time slices that the others wait for: training was up to seven times
    slower (BENCHMARKS.md). OpenMP reads this when torch is loaded.
    """
    added = {"PYTHONSAFEPATH": "1"}
    if not any(name in os.environ for name in _WAITING):
        added["OMP_WAIT_POLICY"] = "PASSIVE"
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
