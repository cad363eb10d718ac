"""A neural view is built like any other: the same bytes by any workers and after kills, verified, trained on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.verifying.verify import verify
from pctrain.config import resolve
from pctrain.training.loop import fit as train
from tests.building.corpora import assert_same_tree, options, write_code
from tests.dataset.written import reseal
from tests.made_run import SETTINGS


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "code"
    write_code(folder, files=16)
    return folder


@pytest.fixture
def view(coder: Path) -> str:
    return f"neural:artifact={coder}"


@pytest.fixture
def built(code: Path, view: str, tmp_path: Path) -> Path:
    build(options(code, tmp_path / "one", view, shard_bytes=8000), Reporter())
    return tmp_path / "one"


def test_two_workers_and_a_kill_change_nothing(code: Path, view: str, built: Path, tmp_path: Path) -> None:
    assert len(Dataset(built).manifest.base.splits["train"]) >= 2
    output = tmp_path / "two"
    shape = ["--val-fraction", "0.25", "--shard-bytes", "8000", "--fit-bytes", "100000", "--quiet"]
    command = [sys.executable, "-m", "pcdata.cli", "build", str(code), "-o", str(output), "--compressor", view, *shape]
    environment = {**os.environ, "PCDATA_KILL_AT": "write.view:2"}
    killed = subprocess.run([*command, "-j1"], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(output.rglob("*.arrow"))
    subprocess.run([*command, "-j2"], check=True)
    assert_same_tree(built, output)


def test_verify_passes_and_finds_a_planted_error(built: Path) -> None:
    assert not verify(built).findings
    (entry, *_) = Dataset(built).manifest.view("neural").splits["train"]
    path = built / entry.file.path
    symbols = Dataset(built).split("train").view("neural", 0).symbols
    data = bytearray(path.read_bytes())
    place = data.index(symbols[:20].tobytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    reseal(built)
    findings = verify(built).findings
    assert len(findings) == 1
    assert "other bytes than raw" in str(findings[0])


def test_a_model_trains_on_the_view(built: Path, tmp_path: Path) -> None:
    config = resolve("tiny", None, [*SETTINGS, "mixture.mode=translation"])
    assert train(built, tmp_path / "run", config, quiet=True).step == 12
    symbols = Dataset(built).split("train").view("neural", 0).symbols
    assert len(np.unique(symbols)) > 20
