"""Tasks on this machine: in this process with one worker, else in spawned processes.

Workers ignore Ctrl-C (the parent stops them) and end by themselves when the parent is gone, even after ``kill -9``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from pcdata.building.engines.base import Advance, Task, TaskFunction
from pcdata.errors import BuildError
from pcdata.options import at_once
from pcdata.processes.isolated import end_with_parent
from pcdata.processes.spawning import spawning

_POLL_SECONDS = 0.2

_progress: Synchronized[int] | None = None
"""In a worker: the counter that it shares with its parent."""


class ProcessEngine:
    """Runs tasks on some processes."""

    def __init__(self, workers: int) -> None:
        """``workers``: number of processes; 0: one per core."""
        self._workers = at_once(workers)
        self._pool: _Pool | None = None
        """Kept from one ``run`` to the next, since starting processes takes half a second."""

    def run(self, function: TaskFunction[Task], tasks: Sequence[Task], advance: Advance) -> None:
        """As ``Engine`` says. Raises ``BuildError`` if a worker dies."""
        if self._workers == 1 or len(tasks) <= 1:
            for task in tasks:
                function(task, advance)
            return
        self._pool = self._pool or _Pool(self._workers)
        try:
            for done in self._pool.spread(function, tasks):
                advance(done)
        except BrokenProcessPool:
            self._stop()
            raise BuildError(
                "a worker process died (killed, or out of memory?); rerun the same command to resume, "
                "with fewer --workers if memory is short"
            ) from None
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.executor.shutdown()
            self._pool = None

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool = None


class _Pool:
    """Processes, each started when there is a task for it, and the counter that they share."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        with spawning():
            self._counter = context.Value("q", 0)  # starts a process that tracks it
        self._told = 0
        self.executor = ProcessPoolExecutor(workers, context, _start_worker, (self._counter,))

    def spread(self, function: Callable[..., None], tasks: Sequence[Any]) -> Iterator[int]:
        """Do the tasks; yields the progress of all workers since the last time."""
        with spawning():
            pending = {self.executor.submit(_run, function, task) for task in tasks}
        while pending:
            ended, pending = wait(pending, _POLL_SECONDS, FIRST_COMPLETED)
            for future in ended:
                future.result()
            now = self._counter.value
            yield now - self._told
            self._told = now

    def stop(self) -> None:
        """End the workers now; a resume repeats their tasks."""
        workers = list((self.executor._processes or {}).values())  # no public way in Python < 3.14
        self.executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _start_worker(counter: Synchronized[int]) -> None:
    global _progress
    _progress = counter
    end_with_parent()


def _run(function: Callable[..., None], task: Any) -> None:
    function(task, _advance)


def _advance(amount: int) -> None:
    assert _progress is not None
    with _progress.get_lock():
        _progress.value += amount
