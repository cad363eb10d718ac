"""No byte of what a run reads can be changed without ``fit`` saying so, before anything is learnt from it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset import Dataset, DatasetError
from pctrain.errors import PctrainError
from pctrain.training import verification
from pctrain.training.distributed import World
from pctrain.training.loop import fit
from pctrain.training.run_folder import METRICS, VERIFIED
from pctrain.training.verification import Seal, files_read, read_verified, verified
from tests.made_run import VIEW, make_dataset, settings

SHORT = ("train.steps=2", "checkpoint.every=2")
READ = ["base/train-00000.arrow", "base/val-00000.arrow", f"views/{VIEW}/train-00000.arrow"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose bytes were read for it."""
    found: list[str] = []
    real = verification.file_fault

    def file_fault(folder: Path, entry: Any, advance: Any) -> str | None:
        found.append(entry.path)
        return real(folder, entry, advance)

    monkeypatch.setattr(verification, "file_fault", file_fault)
    return found


def flip(path: Path, byte: int, bit: int = 0) -> None:
    """Change one bit, and leave no trace of when."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(byte)
        old = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([old ^ 1 << bit]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@given(data=st.data())
def test_any_changed_bit_is_found_before_the_first_step(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    shutil.copytree(dataset.folder, folder / "shards")
    path = folder / "shards" / data.draw(st.sampled_from(READ))
    flip(path, data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.integers(0, 7)))
    with pytest.raises((DatasetError, PctrainError), match=path.name):
        fit(folder / "shards", folder / "run", settings(*SHORT), quiet=True)
    assert not (folder / "run").exists()
    shutil.rmtree(folder)


def test_what_a_run_reads_is_all_that_is_read(dataset: Dataset, tmp_path: Path, hashed: list[str]) -> None:
    fit(dataset.folder, tmp_path / "run", settings(*SHORT))
    assert sorted(hashed) == READ
    hashed.clear()
    fit(dataset.folder, tmp_path / "raw", settings(*SHORT, 'mixture.mode="raw"', "mixture.warmup_fraction=0"))
    assert sorted(hashed) == READ[:2]


def test_a_run_that_goes_on_reads_again_what_was_changed(dataset: Dataset, tmp_path: Path, hashed: list[str]) -> None:
    shards, run = shutil.copytree(dataset.folder, tmp_path / "shards"), tmp_path / "run"
    fit(shards, run, settings(*SHORT))
    hashed.clear()
    fit(shards, run, settings(*SHORT, "train.steps=3"))
    assert hashed == []
    flip(shards / READ[1], 1000)
    before = (run / METRICS).read_bytes()
    with pytest.raises(DatasetError, match="val-00000"):
        fit(shards, run, settings(*SHORT, "train.steps=4"))
    assert hashed == [READ[1]]
    assert (run / METRICS).read_bytes() == before, "nothing was learnt"
    flip(shards / READ[1], 1000)
    fit(shards, run, settings(*SHORT, "train.steps=4"))
    assert hashed == [READ[1]] * 2
    hashed.clear()
    fit(shards, run, settings(*SHORT), restart=True)
    assert sorted(hashed) == READ


def test_it_can_be_left_out_and_the_header_says_so(
    dataset: Dataset, tmp_path: Path, hashed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shards = shutil.copytree(dataset.folder, tmp_path / "shards")
    flip(shards / READ[1], (shards / READ[1]).stat().st_size // 2)
    fit(shards, tmp_path / "run", settings(*SHORT), verify=False)
    assert hashed == []
    assert "not verified (--no-verify)" in capsys.readouterr().err
    assert not (tmp_path / "run" / VERIFIED).exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[" * 10**5, '{"version": 1}', '{"version": 1, "files": {"a": 3}}', '{"version": 2, "files": {}}'],
)
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / VERIFIED).write_text(text)
    assert read_verified(tmp_path) == {}


class OneOf(World):
    """One of several processes, which are asked one after the other; what they have to tell each other is given."""

    def gathered_from_all(self, items: list[Any]) -> list[Any]:
        self.told.append(items)
        return [item for each in self.told for item in each]

    told: list[list[Any]] = []  # noqa: RUF012 shared by all of them


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_process_does_its_share_and_all_hear_of_a_finding(
    dataset: Dataset, tmp_path: Path, hashed: list[str], size: int
) -> None:
    shards = Dataset(shutil.copytree(dataset.folder, tmp_path / "shards"))
    files = files_read({"shards": shards}, [VIEW])
    OneOf.told = []
    worlds = [OneOf(rank, size) for rank in range(size)]
    seals: Mapping[str, Seal] = {}
    for world in worlds:
        seals = verified(files, {}, world, quiet=True)
    assert sorted(hashed) == READ
    assert {path: seal.sha256 for path, seal in seals.items()} == {one.path: one.entry.sha256 for one in files}
    flip(shards.folder / READ[0], 500)
    OneOf.told = []
    heard = [*_heard(worlds, files)]
    assert heard == sorted(heard), "from the one that found it on, all"
    assert heard[-1]


def _heard(worlds: Sequence[World], files: Sequence[Any]) -> Iterator[bool]:
    for world in worlds:
        try:
            verified(files, {}, world, quiet=True)
        except DatasetError as error:
            yield "train-00000.arrow is not what the manifest says" in str(error)
        else:
            yield False


def test_what_the_machine_refuses_is_raised_in_all(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied", "a file")

    monkeypatch.setattr(verification, "file_fault", refuse)
    OneOf.told = []
    files = files_read({"shards": dataset}, [])[:1]
    for rank in range(2):
        with pytest.raises(PermissionError):
            verified(files, {}, OneOf(rank, 2), quiet=True)


def test_the_memory_is_plain_json(dataset: Dataset, tmp_path: Path) -> None:
    fit(dataset.folder, tmp_path, settings(*SHORT))
    values = json.loads((tmp_path / VERIFIED).read_text())
    assert sorted(Path(path).name for path in values["files"]) == sorted(Path(path).name for path in READ)
