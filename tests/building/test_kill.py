"""A build killed anywhere goes on with the same command, does only what is left, and gives the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Silent
from pcdata.dataset import Dataset
from pcdata.processes.kill_points import STEPS
from tests.building.corpora import assert_same_tree, options, write_code

VIEWS = ("zstd", "bpe:vocab_size=300")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "code"
    write_code(folder, files=24)
    return folder


@pytest.fixture(scope="module")
def reference(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reference") / "shards"
    build(options(code, output, *VIEWS), Silent())
    return output


def command(code: Path, output: Path, workers: int = 1, compressors: Sequence[str] = VIEWS) -> list[str]:
    views = [part for view in compressors for part in ("--compressor", view)]
    shape = ["--val-fraction", "0.25", "--shard-bytes", "20000", "--fit-bytes", "100000", "--quiet"]
    return [sys.executable, "-m", "pcdata.cli", "build", str(code), "-o", str(output), *views, *shape, f"-j{workers}"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_named_step(code: Path, reference: Path, tmp_path: Path, step: str) -> None:
    output = tmp_path / "shards"
    occasion = 2 if step.startswith("write.") else 1
    killed = subprocess.run(
        command(code, output), env={**os.environ, "PCDATA_KILL_AT": f"{step}:{occasion}"}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    done_before = {path: path.stat().st_mtime_ns for path in output.glob(".build/done/*.json")}
    shards_before = {path: path.stat().st_mtime_ns for path in output.rglob("*.arrow") if _is_done(path, output)}
    result = build(options(code, output, *VIEWS), Silent())
    assert_same_tree(reference, output)
    n_shards = sum(len(shards) for shards in Dataset(reference).manifest.base.splits.values())
    if not result.was_complete:
        assert result.written == n_shards - len(done_before)  # only what was not committed is encoded again
    assert shards_before == {path: path.stat().st_mtime_ns for path in shards_before}
    if step == "write.done":
        assert len(done_before) == 2
        assert len(shards_before) == 2 * (1 + len(VIEWS))


def _is_done(path: Path, output: Path) -> bool:
    return (output / ".build" / "done" / f"{path.stem}.json").exists()


def test_killed_again_and_again(code: Path, reference: Path, tmp_path: Path) -> None:
    """The whole process group, each time as soon as some more files are there."""
    output = tmp_path / "shards"
    random_ = random.Random(3)
    killed = 0
    wanted = 0
    for _ in range(6):
        wanted += random_.randint(1, 9)
        process = subprocess.Popen(command(code, output, workers=2), start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and n_files(output) < wanted:
            os.sched_yield()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 2
    build(options(code, output, *VIEWS), Silent())
    assert_same_tree(reference, output)


def n_files(folder: Path) -> int:
    """Also while files and folders come and go."""
    return sum(len(files) for _, _, files in os.walk(folder))


def test_workers_end_when_the_parent_is_killed(code: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PCDATA_KILL_AT": "plan.written:1"}
    process = subprocess.Popen(command(code, tmp_path / "shards", workers=2), env=environment, start_new_session=True)
    process.wait()
    deadline = time.monotonic() + 20
    while _group_lives(process.pid):
        assert time.monotonic() < deadline, "workers outlived the build"
        time.sleep(0.02)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["scan.written", "write.view"])
def test_stop_signals_end_in_one_sentence(
    code: Path, reference: Path, tmp_path: Path, stop: signal.Signals, step: str
) -> None:
    output = tmp_path / "shards"
    environment = {**os.environ, "PCDATA_KILL_AT": f"{step}:1", "PCDATA_KILL_WITH": stop.name}
    done = subprocess.run(command(code, output), env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 128 + stop
    assert done.stderr.strip() == "stopped; what was committed is kept; rerun the same command to resume"
    assert not list(output.rglob("*.tmp"))
    build(options(code, output, *VIEWS), Silent())
    assert_same_tree(reference, output)
