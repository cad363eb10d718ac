"""Adding a view makes the very dataset that building with it makes; dropping one leaves the rest as it was."""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.codecs.requests import parse_requests
from pcdata.dataset import Dataset
from pcdata.editing.add_view import add_views
from pcdata.editing.drop_view import drop_view
from pcdata.errors import BuildError, DatasetError
from pcdata.verifying.verify import verify
from tests.building.corpora import options, write_code
from tests.dataset.contents import contents

FIRST = ("zstd:dictionary=1024", "doublebyte")
MORE = ("bpe:vocab_size=300", "gzip:ids=raw", "ngram:contexts=20,symbol_bits=4", "halfbyte:name=halves")


def add(folder: Path, *compressors: str, workers: int = 1) -> None:
    add_views(folder, parse_requests(compressors), workers, Reporter())


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    write_code(folder)
    (folder / "long.py").write_text("x = 1\n" * 9_000)
    return folder


@pytest.fixture(scope="module")
def together(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("together") / "shards"
    build(options(code, output, *FIRST, *MORE, max_document_bytes=5_000, fit_bytes=60_000), Reporter())
    return output


@pytest.fixture(scope="module")
def plain(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plain") / "shards"
    build(options(code, output, *FIRST, max_document_bytes=5_000, fit_bytes=60_000), Reporter())
    return output


@pytest.fixture
def dataset(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "shards"))


@pytest.mark.parametrize("workers", [1, 2])
def test_added_views_are_those_of_building_together(dataset: Path, together: Path, workers: int) -> None:
    before = {name: (dataset / name).stat().st_mtime_ns for name in contents(dataset) if name != "manifest.json"}
    add(dataset, *MORE, workers=workers)
    assert contents(dataset) == contents(together)
    assert {name: (dataset / name).stat().st_mtime_ns for name in before} == before, "other files are untouched"
    assert len(Dataset(dataset).manifest.base.splits["train"]) > 3
    assert verify(dataset).ok


def test_one_by_one_is_the_same(dataset: Path, together: Path) -> None:
    for compressor in MORE:
        add(dataset, compressor)
    assert contents(dataset) == contents(together)
    add(dataset, *MORE)
    assert contents(dataset) == contents(together), "a second time there is nothing to do"


KILLED = """
import sys
from pathlib import Path
from pcdata.cli import main
main(["add-view", sys.argv[1], "-q", "-j", "1"] + [part for c in sys.argv[2:] for part in ("-c", c)])
"""
STEPS = ["fit.written:1", "write.view:2", "write.done:1", "write.done:3", "commit.manifest:1", "commit.cleaned:1"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_named_step(dataset: Path, plain: Path, together: Path, step: str) -> None:
    command = [sys.executable, "-c", KILLED, str(dataset), *MORE]
    killed = subprocess.run(command, env={**os.environ, "PCDATA_KILL_AT": step}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    if not step.startswith("commit"):
        assert (dataset / "manifest.json").read_bytes() == (plain / "manifest.json").read_bytes(), "still as it was"
        with pytest.raises(BuildError, match=r"unfinished command .*views being added: bpe, gzip, ngram, halves"):
            add(dataset, "bit")
    subprocess.run(command, check=True)
    assert contents(dataset) == contents(together)


def test_an_unfinished_view_can_be_given_up(dataset: Path, plain: Path, code: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(dataset), *MORE]
    subprocess.run(command, env={**os.environ, "PCDATA_KILL_AT": "write.done:1"}, capture_output=True, check=False)
    with pytest.raises(BuildError, match=r"finished dataset with views being added \(bpe"):
        build(options(code, dataset, *FIRST, max_document_bytes=5_000, fit_bytes=60_000), Reporter())
    drop_view(dataset, "bpe")
    assert contents(dataset) == contents(plain)


def test_a_dropped_view_is_gone_and_its_ids_with_it(dataset: Path, plain: Path) -> None:
    before = Dataset(dataset).manifest
    drop_view(dataset, "zstd")
    after = Dataset(dataset).manifest
    assert [view.name for view in after.views] == ["doublebyte"]
    assert (after.next_slot, after.next_id) == (before.next_slot, before.next_id)
    assert verify(dataset).ok
    assert not (dataset / "views" / "zstd").exists()
    same = [name for name in contents(dataset) if name != "manifest.json"]
    assert all(filecmp.cmp(dataset / name, plain / name, shallow=False) for name in same)
    add(dataset, FIRST[0])
    again = Dataset(dataset).manifest.view("zstd")
    assert again.fingerprint == before.view("zstd").fingerprint
    assert (again.slot, again.first_id) == (before.next_slot, before.next_id)
    with pytest.raises(DatasetError, match="no view 'nothing'; it has: doublebyte, zstd"):
        drop_view(dataset, "nothing")


def test_a_drop_that_was_killed_is_ended_by_the_next(dataset: Path) -> None:
    run = "import sys; from pcdata.cli import main; main(['drop-view', sys.argv[1], 'zstd'])"
    environment = {**os.environ, "PCDATA_KILL_AT": "commit.manifest:1"}
    assert subprocess.run([sys.executable, "-c", run, dataset], env=environment, check=False).returncode < 0
    assert not verify(dataset).ok
    drop_view(dataset, "zstd")
    assert verify(dataset).ok


def test_what_cannot_be_added(dataset: Path) -> None:
    with pytest.raises(BuildError, match="has another view 'zstd'"):
        add(dataset, "zstd:level=7")
    path = next((dataset / "base").glob("train-00001*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"train-00001\.arrow is damaged"):
        add(dataset, "bit")
    assert [view.name for view in Dataset(dataset).manifest.views] == ["zstd", "doublebyte"]
