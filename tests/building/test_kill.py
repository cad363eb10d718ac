"""A build or one of its workers is killed, anywhere: the same command does only what is left, and gives the same bytes.

A worker's death ends its build in one sentence; workers do not outlive the build.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.processes.kill_points import STEPS
from tests.building.corpora import assert_same_tree, options
from tests.building.interrupted import VIEWS, command, run
from tests.building.waiting import wait_for

DIED = (
    "error: a worker process died (killed, or out of memory?); rerun the same command to resume, "
    "with fewer --workers if memory is short"
)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_named_step(code: Path, reference: Path, tmp_path: Path, step: str) -> None:
    output = tmp_path / "shards"
    occasion = 2 if step.startswith("write.") else 1
    assert run(command(code, output), f"{step}:{occasion}") == (-signal.SIGKILL, "")
    done_before = {path: path.stat().st_mtime_ns for path in output.glob(".build/done/*.json")}
    shards_before = {path: path.stat().st_mtime_ns for path in output.rglob("*.arrow") if _is_done(path, output)}
    result = build(options(code, output, *VIEWS), Reporter())
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
    for _ in range(4):
        wanted += random_.randint(1, 9)
        process = subprocess.Popen(command(code, output, workers=2), start_new_session=True, stderr=subprocess.DEVNULL)
        wait_for(lambda: process.poll() is not None or _n_files(output) >= wanted)  # noqa: B023 (called here)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 2
    build(options(code, output, *VIEWS), Reporter())
    assert_same_tree(reference, output)


def _n_files(folder: Path) -> int:
    """Also while files and folders come and go."""
    return sum(len(files) for _, _, files in os.walk(folder))


def test_workers_end_when_the_parent_is_killed(code: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PCDATA_KILL_AT": "plan.written:1"}
    process = subprocess.Popen(command(code, tmp_path / "shards", workers=2), env=environment, start_new_session=True)
    process.wait()
    wait_for(lambda: not _group_lives(process.pid))


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("step", ["write.base", "write.view", "write.done"])
def test_a_worker_dies_at_a_named_step(code: Path, reference: Path, tmp_path: Path, step: str) -> None:
    output = tmp_path / "shards"
    assert run(command(code, output, workers=2), f"{step}:1") == (1, DIED)
    assert not list(output.rglob("*.tmp"))
    build(options(code, output, *VIEWS), Reporter())
    assert_same_tree(reference, output)


def test_workers_die_anywhere(code: Path, reference: Path, tmp_path: Path) -> None:
    """One worker, as soon as some more files are there; the build that loses it says so, and the next resumes."""
    output = tmp_path / "shards"
    random_ = random.Random(5)
    deaths = 0
    wanted = 8  # before that, no workers
    for _ in range(4):
        wanted += random_.randint(1, 6)
        process = subprocess.Popen(command(code, output, workers=2), stderr=subprocess.PIPE, text=True)
        wait_for(
            lambda: process.poll() is not None or (_n_files(output) >= wanted and _workers(process.pid))  # noqa: B023
        )
        for worker in _workers(process.pid)[:1]:
            os.kill(worker, signal.SIGKILL)
        said = process.communicate()[1].strip()
        assert (process.returncode, said) in [(0, ""), (1, DIED)]
        deaths += process.returncode
    assert deaths >= 2
    build(options(code, output, *VIEWS), Reporter())
    assert_same_tree(reference, output)


def _workers(parent: int) -> list[int]:
    """The spawned workers of a process; none if it has ended."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []
