"""A stranger's run folder cannot end a command in anything but an answer or a sentence, nor write elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdata.processes.isolated import Limits
from pctrain.cli import main
from tests.hostile.changes import run_changes, write_files
from tests.hostile.reading import Process, ReadingRuns, outcomes_of
from tests.made_run import SETTINGS, make_dataset

LIMITS = Limits(memory_bytes=1_500_000_000, cpu_seconds=60)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    process = Process(ReadingRuns, LIMITS)
    yield process
    process.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and a folder that nobody is to touch."""
    root = tmp_path_factory.mktemp("runs")
    make_dataset(root / "data")
    (root / "home").mkdir()
    (root / "home" / "file").write_text("mine")
    return root


@pytest.fixture(scope="module")
def sound(place: Path) -> dict[str, bytes]:
    words = [word for one in (*SETTINGS, "train.steps=2", "train.checkpoint_every=2") for word in ("--set", one)]
    done = CliRunner().invoke(main, ["fit", str(place / "data"), "-o", str(place / "run"), *words])
    assert done.exit_code == 0, done.output
    files = {path: path.relative_to(place / "run").as_posix() for path in (place / "run").rglob("*") if path.is_file()}
    read = {name: path.read_bytes() for path, name in sorted(files.items()) if name != ".lock"}
    shutil.rmtree(place / "run")
    return read


def test_a_sound_run_passes(place: Path, sound: dict[str, bytes], process: Process) -> None:
    """The guard: every command does its work, or the rest would show nothing."""
    write_files(place / "run", sound)
    outcomes = process.read(place)
    assert {one.command: one.output for one in outcomes if one.code or one.traceback} == {}
    assert len(outcomes) == 5
    shutil.rmtree(place / "run")


@given(data=st.data())
def test_whatever_was_changed_ends_in_an_answer_or_a_sentence(
    place: Path, sound: dict[str, bytes], process: Process, data: st.DataObject
) -> None:
    outcomes_of(place, "run", sound, data.draw(run_changes(sound)), process)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=2_000)
def test_and_so_do_thousands(place: Path, sound: dict[str, bytes], process: Process, data: st.DataObject) -> None:
    outcomes_of(place, "run", sound, data.draw(run_changes(sound)), process)
