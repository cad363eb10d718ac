"""A task tried twice, even twice at once, leaves what one try leaves: engines that replace workers rely on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.building.scan import ScanTask, run_scan
from pcdata.building.write import WriteTask, run_write
from pcdata.dataset.arrow_writer import ArrowWriter
from pcdata.dataset.schema import BASE_SCHEMA
from tests.building.corpora import assert_same_tree, options
from tests.building.interrupted import VIEWS

Advance = Callable[[int], None]


def test_a_try_within_a_try(code: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins when the first is half-way, and ends before it."""
    seconds: list[object] = []

    def scan_twice(task: ScanTask, advance: Advance) -> None:
        pending = [lambda: run_scan(task, lambda done: None)]
        run_scan(task, lambda done: seconds.append(pending.pop()()) if pending else None)

    def write_twice(task: WriteTask, advance: Advance) -> None:
        pending = [lambda: run_write(task, lambda done: None)]
        run_write(task, lambda done: seconds.append(pending.pop()()) if pending else None)

    monkeypatch.setattr("pcdata.building.planning.run_scan", scan_twice)
    monkeypatch.setattr("pcdata.building.build.run_write", write_twice)
    result = build(options(code, tmp_path / "shards", *VIEWS), Reporter())
    assert len(seconds) == result.scanned + 1 > 1
    assert result.written > 2  # all by one task
    assert_same_tree(reference, tmp_path / "shards")


def test_a_try_that_was_killed(code: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it left under its temporary name is not in the dataset."""
    output = tmp_path / "shards"

    def write_after_a_kill(task: WriteTask, advance: Advance) -> None:
        for shard in task.shards:
            ArrowWriter(output, f"base/{shard.name}.arrow", BASE_SCHEMA)  # never finished
        run_write(task, advance)

    monkeypatch.setattr("pcdata.building.build.run_write", write_after_a_kill)
    build(options(code, output, *VIEWS), Reporter())
    assert_same_tree(reference, output)


def test_a_try_that_outlives_its_build(
    code: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker given up for lost that comes back when the dataset is there fails, and changes nothing."""
    half_way, built = threading.Event(), threading.Event()
    faults: list[OSError] = []
    lost: list[threading.Thread] = []

    def be_late(task: WriteTask) -> None:
        try:
            run_write(task, lambda done: half_way.set() or built.wait() or None)  # type: ignore[func-returns-value]
        except OSError as error:
            faults.append(error)

    def write_beside_the_lost(task: WriteTask, advance: Advance) -> None:
        if not lost:
            lost.append(threading.Thread(target=be_late, args=(task,)))
            lost[0].start()
            half_way.wait()
        run_write(task, advance)

    monkeypatch.setattr("pcdata.building.build.run_write", write_beside_the_lost)
    build(options(code, tmp_path / "shards", *VIEWS), Reporter())
    built.set()
    lost[0].join()
    assert [type(fault) for fault in faults] == [FileNotFoundError]
    assert_same_tree(reference, tmp_path / "shards")
