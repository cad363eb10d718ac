"""Checking files in child processes, because a damaged Arrow file can kill the process that parses it.

Each child has one task at a time, so that when it dies it is known which file killed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final

from pcdata.dataset.manifest import load_manifest
from pcdata.inspection.check_base import check_base
from pcdata.inspection.check_view import ViewChecker
from pcdata.inspection.findings import REBUILD, Checked, Finding
from pcdata.processes.isolated import Died, End, Isolated, Limits, Send

_LIMITS: Final = Limits(memory_bytes=4_000_000_000, cpu_seconds=3600)
"""Blocks hold 8 MB of raw bytes; the slowest codec decodes some kB a second."""


@dataclass(frozen=True)
class Task:
    """Check one file of a shard: its base file, or a view's beside it."""

    split: str
    shard: int
    view: str | None
    file: str
    """The file's path in the dataset."""


class Children:
    """Does tasks in children, which stay for the tasks that come later: a child takes long to start."""

    def __init__(self, folder: Path, sample: float | None, workers: int, progress: Callable[[int], object]) -> None:
        """At most ``workers`` at a time; ``progress`` is called with raw bytes looked at."""
        self._folder, self._sample = folder, sample
        self._workers, self._progress = workers, progress
        self._idle: list[Isolated] = []
        self._busy: dict[Connection, tuple[Isolated, Task]] = {}

    def start(self) -> None:
        """Start one now, so that it is ready when there is a task: it takes as long as hashing 200 MB."""
        self._idle.append(Isolated(Checker, self._folder, self._sample, limits=_LIMITS))

    def check(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Checked]]:
        """Do the tasks; results come in the order in which they end. Raises what a child found wrong with the
        machine."""
        pending = deque(tasks)
        while pending or self._busy:
            while pending and len(self._busy) < self._workers:
                if not self._idle:
                    self.start()
                child, task = self._idle.pop(), pending.popleft()
                self._busy[child.connection] = child, task
                child.send(task)
            for connection in wait([*self._busy]):
                assert isinstance(connection, Connection)
                child, task = self._busy[connection]
                try:
                    message = child.receive()
                except Died as death:
                    del self._busy[connection]
                    child.close()
                    yield task, Checked([Finding(task.file, f"the process that read it {death}", REBUILD)])
                    continue
                if isinstance(message, int):
                    self._progress(message)
                elif message is End.END:
                    del self._busy[connection]
                    self._idle.append(child)
                else:
                    yield task, message

    def close(self) -> None:
        """End all of them, whatever they are doing."""
        for child in [*self._idle, *(child for child, _ in self._busy.values())]:
            child.close()


class Checker:
    """Does tasks in this process; keeps the codecs open."""

    def __init__(self, folder: Path, sample: float | None) -> None:
        self._folder = folder
        self._manifest = load_manifest(folder)
        self._kept = self._manifest.kept_columns
        self._views = {view.name: ViewChecker(folder, view, self._kept, sample) for view in self._manifest.views}

    def __call__(self, task: Task, send: Send) -> None:
        """Send raw bytes looked at, and then what was found."""
        send(self.check(task, send))

    def check(self, task: Task, advance: Callable[[int], None]) -> Checked:
        base = self._manifest.base.splits[task.split][task.shard]
        if task.view is None:
            return check_base(self._folder, base, self._kept, advance)
        shard = self._manifest.view(task.view).splits[task.split][task.shard]
        return self._views[task.view].check(shard, base, advance)
