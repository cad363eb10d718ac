"""Every command that reads a dataset, run on one that may be hostile, in a process that may die of it.

``Reading`` is the answer of an ``Isolated``: one process reads thousands of datasets, and is started again only where
one kills it. Commands that start processes of their own do the same work in this one.
"""

from __future__ import annotations

import io
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from hypothesis import note

from pcdata.cli import main
from pcdata.dataset import Dataset
from pcdata.errors import PcdataError
from pcdata.inspection import symbol_statistics
from pcdata.processes.isolated import Died, Isolated, Limits, Send
from pcdata.verifying import verify
from pcdata.verifying.children import Checker, Task
from pcdata.verifying.findings import Checked
from pctrain.cli import main as pctrain_main
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader
from pctrain.errors import PctrainError
from tests.dataset.contents import contents
from tests.hostile.changes import write_files

LIMITS = Limits(memory_bytes=700_000_000, cpu_seconds=60)
"""For each command: a hundred times what it takes on a sound dataset of 60 kB."""

HOME = {"file": b"mine"}
"""What lies beside it, in the folder ``home``."""

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("verify", "ds"),
    ("verify", "ds", "--quick"),
    ("stats", "ds", "--measure"),
    ("stats", "ds", "--json"),
    ("config", "ds"),
    ("show", "ds"),
    ("show", "ds", "--doc", "module4.py"),
    ("show", "ds", "--doc", "val:0"),
    ("report", "ds", "-o", "out/report.html"),
    ("export-docs", "ds", "-o", "out/files"),
    ("export-docs", "ds", "-o", "out/docs.parquet"),
    ("export-docs", "ds", "-o", "-"),
    ("load", "ds"),
    ("merge", "ds", "other", "-o", "out/merged", "-j1"),
    ("add-view", "ds", "-c", "halfbyte", "-j1"),
    ("drop-view", "ds", "zstd"),
)
"""Those that change the dataset last. ``load`` is what ``pctrain fit`` does with it."""

COMMANDS_OF_RUNS: tuple[tuple[str, ...], ...] = (
    ("generate", "run", "--max-bytes", "3"),
    ("eval", "run", "--data", "data", "--quiet"),
    ("plot", "run", "-o", "out/curves.svg"),
    ("export", "run", "-o", "out/hf"),
    ("fit", "data", "-o", "run", "--set", "train.steps=4", "--quiet"),
)
"""That which changes the run last."""


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    command: tuple[str, ...]
    code: int
    output: str
    """Of both streams."""
    traceback: str


class Process:
    """A process that reads, and another one after one that died."""

    def __init__(self, make: Callable[[], Callable[[Path, Send], None]], limits: Limits) -> None:
        self._make, self._limits = make, limits
        self._process: Isolated | None = None

    def read(self, folder: Path) -> list[Outcome]:
        self._process = self._process or Isolated(self._make, limits=self._limits)
        outcomes: list[Outcome] = []
        try:
            outcomes.extend(self._process.ask(folder))
        except Died as death:
            self._process = None
            raise AssertionError(f"the process {death} after {[one.command for one in outcomes][-1:]}") from None
        return outcomes

    def close(self) -> None:
        if self._process is not None:
            self._process.close()


class Reading:
    """Runs the commands in the folder that it is asked about."""

    def __init__(self) -> None:
        verify.Children = Here  # type: ignore[assignment,misc]
        symbol_statistics.Isolated = HereToo  # type: ignore[assignment,misc]
        os.fsync = lambda _: None  # half of the time, and nothing is to survive

    def __call__(self, folder: Path, send: Send) -> None:
        for command in COMMANDS:
            send(run(folder, command))


class ReadingRuns:
    """The same of the commands that read a run folder."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        os.fsync = lambda _: None

    def __call__(self, folder: Path, send: Send) -> None:
        for command in COMMANDS_OF_RUNS:
            send(run(folder, command, pctrain_main))


def run(folder: Path, command: tuple[str, ...], program: click.Command = main) -> Outcome:
    """As a shell would run it in ``folder``, whose places are named by their first folder."""
    arguments = [str(folder / word) if _is_place(word) else word for word in command]
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    output, what, code = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), "", 0
    with redirect_stdout(output), redirect_stderr(output):
        try:
            if command[0] == "load":
                load(folder / "ds")
            else:
                program.main(arguments, standalone_mode=True)
        except (PcdataError, PctrainError) as error:
            click.echo(f"error: {error}", err=True)
            code = 1
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        except Exception:
            what = traceback.format_exc()
    return Outcome(command, code, output.buffer.getvalue().decode(errors="replace"), what)  # type: ignore[attr-defined]


def _is_place(word: str) -> bool:
    return word in ("ds", "other", "run", "data") or word.startswith("out/")


def load(folder: Path) -> None:
    """A few batches, of all views and both splits."""
    dataset = Dataset(folder)
    for name in dataset.splits:
        for mode in ("mixed", "translation"):
            loader = Loader(
                [dataset.split(name)],
                DataConfig(64, 2, shuffle_rows=8, where={"path": ["*"], "lang": ["*"]}),
                MixtureConfig(mode=mode),
                steps=4,
                seed=0,
            )
            for _ in range(4):
                assert loader.next_batch().arrays.inputs_RT.max() < loader.vocabulary.padded_size


class Here:
    """``Children`` without processes."""

    def __init__(self, folder: Path, sample: float | None, workers: int, progress: Callable[[int], object]) -> None:
        self._checker, self._progress = Checker(folder, sample), progress

    def start(self) -> None:
        pass

    def check(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Checked]]:
        return ((task, self._checker.check(task, self._progress)) for task in tasks)

    def close(self) -> None:
        pass


class HereToo:
    """``Isolated`` without a process, for answers of one message."""

    connection = None

    def __init__(self, make: Callable[..., Callable[[object, Send], None]], *given: object, limits: Limits) -> None:
        self._make, self._given = make, given

    def ask(self, request: object) -> list[object]:
        messages: list[object] = []
        self._make(*self._given)(request, messages.append)
        return messages

    def close(self) -> None:
        pass


def outcomes_of(
    place: Path, name: str, sound: dict[str, bytes], changed: dict[str, bytes], process: Process
) -> list[Outcome]:
    """Lay the changed files down in ``place / name`` and run the commands. Each must end in an answer or a sentence,
    and nothing else may be written."""
    note(f"changed: {[each for each in changed if changed[each] != sound.get(each)]}")
    shutil.rmtree(place / name, ignore_errors=True)
    before = {path.name for path in place.iterdir()} | {name, "out"}
    write_files(place / name, changed)
    outcomes = process.read(place)
    for one in outcomes:
        note(f"{one.command}: {one.code} {one.output[-300:]!r}")
        assert not one.traceback, one.traceback
        assert one.code in (0, 1, 2)
        assert "\x1b" not in one.output
        if one.code and one.command[0] != "verify":
            assert one.output.splitlines()[-1].startswith("error: ")
            assert len(one.output.splitlines()[-1]) < 2_000
    assert {path.name for path in place.iterdir()} == before
    assert contents(place / "home") == HOME
    return outcomes
