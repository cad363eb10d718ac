"""Tasks on a pool of processes: each is done once, and a dead process names its task."""

from __future__ import annotations

import os
import signal
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pytest

from pcdata.processes.isolated import Answer, Died, End, Killed, Limits, Send
from pcdata.processes.pool import Pool


def make() -> Answer:
    return answer


def answer(task: str, send: Send) -> None:
    what, _, number = task.partition(" ")
    if what == "raise":
        raise ValueError(number)
    if what == "exit":
        os._exit(3)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    send(int(number))
    send(os.getpid())


@pytest.fixture
def pool() -> Iterator[Pool[str]]:
    pool: Pool[str] = Pool(2, make, limits=Limits())
    yield pool
    pool.close()
    pool.close()


def messages(pool: Pool[str], tasks: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {task: [] for task in tasks}
    for task, message in pool.run(deque(tasks)):
        found[task].append(message)
    return found


def test_each_task_is_done_once_by_two_processes(pool: Pool[str]) -> None:
    tasks = [f"do {number}" for number in range(20)]
    found = messages(pool, tasks)
    assert {task: [each[0], *each[2:]] for task, each in found.items()} == {
        task: [number, End.END] for number, task in enumerate(tasks)
    }
    workers = Counter(each[1] for each in found.values())
    assert len(workers) == 2
    again = messages(pool, tasks)
    assert {each[1] for each in again.values()} == {*workers}, "processes are kept"


def test_a_process_that_ends_names_its_task_and_the_others_are_done(pool: Pool[str]) -> None:
    tasks = ["exit", "do 1", "kill", "do 2", "exit again", "do 3"]
    found = messages(pool, tasks)
    assert [type(found[task][-1]) for task in tasks] == [Died, End, Killed, End, Died, End]
    assert [found[f"do {number}"][0] for number in (1, 2, 3)] == [1, 2, 3]


def test_tasks_that_the_caller_removes_are_not_done(pool: Pool[str]) -> None:
    pending = deque(["exit", "exit again", *(f"do {number}" for number in range(100))])
    done = set()
    for task, message in pool.run(pending):
        done.add(task)
        if isinstance(message, Died):
            pending.clear()
    assert done == {"exit", "exit again"}


def test_what_a_task_raises_is_raised(pool: Pool[str]) -> None:
    with pytest.raises(ValueError, match=r"^7\b"):
        messages(pool, ["do 1", "raise 7"])
