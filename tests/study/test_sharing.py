"""Several processes, or threads, do each trial once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

import tools.study.__main__
from pcdata.dataset.files import LockFile
from tools.study.__main__ import run_all
from tools.study.plan import Arm, Trial
from tools.study.trial import Bench, Result

A, B, FIRST = (Trial(Arm(name), 0) for name in ("a", "b", "first"))


class Board:
    """A bench without models: ``b`` waits for ``first``."""

    def __init__(self, folder: Path, between: Callable[[Trial], None] = lambda trial: None) -> None:
        self.folder = folder
        self.done: list[Trial] = []
        self.ran: list[Trial] = []
        self.between = between

    def result(self, trial: Trial) -> Result | None:
        return cast(Result, Outcome()) if trial in self.done else None

    def due(self, trial: Trial) -> list[Trial]:
        return [FIRST] if trial == B and FIRST not in self.done else [trial]

    def claim(self, trial: Trial) -> LockFile | None:
        try:
            return LockFile(self.folder / trial.name)
        except BlockingIOError:
            self.between(trial)
            return None

    def run(self, trial: Trial) -> Result:
        self.ran.append(trial)
        self.done.append(trial)
        return cast(Result, Outcome())


class Outcome:
    bits_per_byte = 2.0


def run(board: Board, trials: list[Trial], jobs: int = 2) -> None:
    run_all(cast(Bench, board), trials, jobs)


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.study.__main__, "_POLL_SECONDS", 0)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_each_trial_is_run_once_after_what_it_waits_for(jobs: int, tmp_path: Path) -> None:
    board = Board(tmp_path)
    run(board, [B, A], jobs)
    assert sorted(trial.arm.name for trial in board.ran) == ["a", "b", "first"]
    assert board.ran.index(FIRST) < board.ran.index(B)
    assert not [*tmp_path.iterdir()], "no claim is left"


def test_what_another_process_runs_is_waited_for(tmp_path: Path) -> None:
    theirs = LockFile(tmp_path / A.name)

    def they_finish(trial: Trial) -> None:
        board.done.append(trial)
        theirs.close(remove=True)

    board = Board(tmp_path, they_finish)
    run(board, [A, B])
    assert board.ran == [FIRST, B]


def test_what_another_process_has_just_finished_is_not_run_again(tmp_path: Path) -> None:
    """It was due when this process looked, and done when it had claimed it."""
    board = Board(tmp_path)
    claim = board.claim

    def claim_late(trial: Trial) -> LockFile | None:
        board.done.append(trial)
        return claim(trial)

    board.claim = claim_late  # type: ignore[method-assign]
    run(board, [A])
    assert board.ran == []


def test_a_trial_that_failed_ends_the_study(tmp_path: Path) -> None:
    board = Board(tmp_path)

    def fail(trial: Trial) -> Result:
        raise ValueError(trial.name)

    board.run = fail  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a-s0"):
        run(board, [A])
    assert not [*tmp_path.iterdir()], "no claim is left"
