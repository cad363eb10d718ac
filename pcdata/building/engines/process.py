"""Tasks on this machine: in this process with one worker, else in spawned processes.

Workers ignore Ctrl-C (the parent stops them) and end by themselves when the parent is gone, even after ``kill -9``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, TypeAlias

from pcdata.building.engines.base import Advance, Task, TaskFunction
from pcdata.errors import BuildError
from pcdata.options import at_once
from pcdata.processes.isolated import Answer, Died, End, Killed, Limits, Send
from pcdata.processes.pool import Pool

_TELL_SECONDS: Final = 0.1

_Call: TypeAlias = tuple[Callable[..., None], Any]
"""A function and its task."""


class ProcessEngine:
    """Runs tasks on some processes."""

    def __init__(self, workers: int) -> None:
        """``workers``: number of processes; 0: one per core."""
        self._workers = at_once(workers)
        self._pool: Pool[_Call] = Pool(self._workers, _caller, limits=Limits())
        """Its processes are kept from one ``run`` to the next."""

    def run(self, function: TaskFunction[Task], tasks: Sequence[Task], advance: Advance) -> None:
        """As ``Engine`` says. Raises ``BuildError`` if a worker dies."""
        if self._workers == 1 or len(tasks) <= 1:
            for task in tasks:
                function(task, advance)
            return
        try:
            for _, message in self._pool.run(deque((function, task) for task in tasks)):
                if isinstance(message, Died | Killed):
                    raise BuildError(
                        "a worker process died (killed, or out of memory?); rerun the same command to resume, "
                        "with fewer --workers if memory is short"
                    )
                if message is not End.END:
                    advance(message)
        except BaseException:
            self._pool.close()
            raise

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


def _caller() -> Answer:
    return _call


def _call(call: _Call, send: Send) -> None:
    """Runs a task in a worker; sends its progress, but not for every document."""
    function, task = call
    untold, told_at = 0, monotonic()

    def advance(amount: int) -> None:
        nonlocal untold, told_at
        untold += amount
        if (now := monotonic()) - told_at >= _TELL_SECONDS:
            send(untold)
            untold, told_at = 0, now

    function(task, advance)
    send(untold)
