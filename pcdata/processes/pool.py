"""Tasks spread over some processes, each of which has one task at a time: if one dies, the task to blame is known.

``concurrent.futures`` has no pool for this: its own thread fails with tracebacks if a process dies while another is
being started (CPython 3.11), and it does not say which task a dead process had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from pcdata.processes.isolated import Answer, Died, End, Isolated, Killed, Limits

Task = TypeVar("Task")


class Pool(Generic[Task]):
    """Processes, each started when there is a task for it, and reused because starting takes half a second."""

    def __init__(self, workers: int, make: Callable[..., Answer], *args: Any, limits: Limits) -> None:
        """At most ``workers`` at a time; the rest as for ``Isolated``."""
        self._workers = workers
        self._make, self._args, self._limits = make, args, limits
        self._idle: list[Isolated] = []
        self._busy: dict[Connection, tuple[Isolated, Task]] = {}

    def start(self) -> None:
        """Start one now, so that it is ready for the first task."""
        self._idle.append(Isolated(self._make, *self._args, limits=self._limits))

    def run(self, pending: deque[Task]) -> Iterator[tuple[Task, Any]]:
        """Do the tasks in ``pending``, from which the caller may remove some meanwhile.

        Yields the messages of each task. The last one is ``End.END``, or ``Died`` or ``Killed`` if its process ended.
        Raises what a task raises.
        """
        while pending or self._busy:
            while pending and len(self._busy) < self._workers:
                if not self._idle:
                    self.start()
                process, task = self._idle.pop(), pending.popleft()
                self._busy[process.connection] = process, task
                process.send(task)
            for connection in wait([*self._busy]):
                assert isinstance(connection, Connection)
                process, task = self._busy[connection]
                try:
                    message = process.receive()
                except (Died, Killed) as end:
                    if isinstance(end, Killed) and not process.has_ended:
                        raise  # a process that the task had started itself
                    del self._busy[connection]
                    process.close()
                    message = end
                if message is End.END:
                    del self._busy[connection]
                    self._idle.append(process)
                yield task, message

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        for process in [*self._idle, *(process for process, _ in self._busy.values())]:
            process.close()
        self._idle.clear()
        self._busy.clear()
