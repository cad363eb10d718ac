"""A stranger's run folder cannot end a command in anything but an answer or a sentence, nor write elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdata.processes.isolated import Limits
from pctrain.cli import main
from tests.dataset.contents import contents
from tests.hostile.changes import run_changes, write_files
from tests.hostile.reading import HOME, Process, ReadingRuns, outcomes_of
from tests.made_run import SETTINGS, make_dataset

LIMITS = Limits(memory_bytes=1_500_000_000, cpu_seconds=60)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with closing(Process(ReadingRuns, LIMITS)) as process:
        yield process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and a folder that nobody is to touch."""
    root = tmp_path_factory.mktemp("runs")
    make_dataset(root / "data")
    write_files(root / "home", HOME)
    return root


@cache
def sound_files() -> dict[str, bytes]:
    """Of a run on the same dataset. No fixture, so that the changes can be a strategy of their own."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        make_dataset(root / "data")
        words = [word for one in (*SETTINGS, "train.steps=2", "checkpoint.every=2") for word in ("--set", one)]
        done = CliRunner().invoke(main, ["fit", str(root / "data"), "-o", str(root / "run"), *words])
        assert done.exit_code == 0, done.output
        (root / "run" / ".lock").unlink()
        return contents(root / "run")


CHANGES = st.deferred(lambda: run_changes(sound_files()))


def test_a_sound_run_passes(place: Path, process: Process) -> None:
    """The guard: every command does its work, or the rest would show nothing."""
    write_files(place / "run", sound_files())
    outcomes = process.read(place)
    assert {one.command: one.output for one in outcomes if one.code or one.traceback} == {}
    assert len(outcomes) == 5
    shutil.rmtree(place / "run")


@given(changed=CHANGES)
def test_whatever_was_changed_ends_in_an_answer_or_a_sentence(
    place: Path, process: Process, changed: dict[str, bytes]
) -> None:
    outcomes_of(place, "run", sound_files(), changed, process)


@pytest.mark.slow
@given(changed=CHANGES)
@settings(max_examples=2_000)
def test_and_so_do_thousands(place: Path, process: Process, changed: dict[str, bytes]) -> None:
    outcomes_of(place, "run", sound_files(), changed, process)
