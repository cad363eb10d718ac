"""A run folder that somebody else made cannot make pctrain write, delete or read without end outside of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcdata.dataset import Dataset, DatasetError
from pctrain.errors import CheckpointError, PctrainError
from pctrain.training import checkpoint
from pctrain.training.checkpoint import checkpoints, load_state
from pctrain.training.loop import fit
from tests.made_run import make_dataset, settings

SHORT = ("train.steps=2", "checkpoint.every=2")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def made(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("made") / "run"
    fit(dataset.folder, run, settings(*SHORT))
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy, beside a folder ``home`` that is not to be touched."""
    (tmp_path / "home" / "step-00000002").mkdir(parents=True)
    for name in ("file", "step-00000002/state.json"):
        (tmp_path / "home" / name).write_text("data")
    return shutil.copytree(made, tmp_path / "run")


def home(run: Path) -> dict[str, str]:
    folder = run.parent / "home"
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def more(dataset: Dataset, run: Path) -> None:
    fit(dataset.folder, run, settings(*SHORT, "train.steps=4"))


def _link(run: Path, name: str, target: str) -> None:
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("config.json.tmp", "../home/file"),
        ("metrics.jsonl.tmp", "../home/file"),
        ("metrics.jsonl.0123456789abcdef.tmp", "../home/file"),
        ("checkpoints/step-00000004.tmp", "../../home"),
        ("checkpoints/step-00000004", "../../home/step-00000002"),
    ],
)
def test_links_are_not_written_through(dataset: Dataset, run: Path, name: str, target: str) -> None:
    before = home(run)
    _link(run, name, target)
    more(dataset, run)
    assert home(run) == before
    assert [folder.name for folder in checkpoints(run)] == ["step-00000002", "step-00000004"]
    assert not (run / "checkpoints" / "step-00000004").is_symlink()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("name", "target"),
    [
        (".lock", "../home/file"),
        ("config.json", "../home/file"),
        ("metrics.jsonl", "../home/file"),
        ("metrics.jsonl", "/dev/zero"),
        ("checkpoints", "../home"),
    ],
)
def test_links_in_place_of_its_own_files_are_refused(dataset: Dataset, run: Path, name: str, target: str) -> None:
    before = home(run)
    _link(run, name, target)
    if name == "config.json":  # it is not read to go on, and written anew
        more(dataset, run)
        assert not (run / name).is_symlink()
    else:
        with pytest.raises(
            (PctrainError, DatasetError), match=r"is not a regular file|leads out of|is a symbolic link"
        ):
            more(dataset, run)
    assert home(run) == before


def test_restart_deletes_nothing_elsewhere(dataset: Dataset, run: Path) -> None:
    before = home(run)
    _link(run, "checkpoints", "../home")
    with pytest.raises(CheckpointError, match="is a symbolic link"):
        fit(dataset.folder, run, settings(*SHORT), restart=True)
    assert home(run) == before


SUMS: dict[str, Callable[[Path], Any]] = {
    "out": lambda folder: (folder / "SHA256SUMS").open("a").write(f"{'0' * 64}  state.json/../../../../home/file\n"),
    "endless": lambda folder: _link(folder, "state.json", "/dev/zero"),
    "fifo": lambda folder: ((folder / "state.json").unlink(), os.mkfifo(folder / "state.json")),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("trap", SUMS)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_checkpoints_files_are_its_own(run: Path, trap: str) -> None:
    SUMS[trap](run / "checkpoints" / "step-00000002")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_state(run / "checkpoints" / "step-00000002")


def test_what_a_killed_run_was_writing_is_removed(dataset: Dataset, run: Path) -> None:
    (run / "config.json.0123456789abcdef.tmp").touch()
    (run / "metrics.jsonl.0123456789abcdef.tmp").touch()
    (run / "mine.tmp").touch()
    (run / "checkpoints" / "step-00000009.0123456789abcdef.tmp" / "model").mkdir(parents=True)
    fit(dataset.folder, run, settings(*SHORT))
    assert [path.name for path in run.rglob("*.tmp")] == ["mine.tmp"]


def test_what_the_machine_lacks_is_no_damage(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a person would be told to remove a checkpoint that is sound."""

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoint, "_sum", refuse)
    with pytest.raises(PermissionError):
        load_state(run / "checkpoints" / "step-00000002")
