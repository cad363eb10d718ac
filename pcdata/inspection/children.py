"""Checking files in child processes, because a damaged Arrow file can kill the process that parses it.

The parent gives each child one task at a time, so that when a child dies it is known which file killed it. Children
start by spawn, ignore the interrupt key (the parent ends them), and end when the parent is gone.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pcdata.build.engines.safe_path import safe_path
from pcdata.dataset.manifest import load_manifest
from pcdata.inspection.check_base import check_base
from pcdata.inspection.check_view import ViewChecker
from pcdata.inspection.findings import Checked, Finding


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
        self._idle: list[_Child] = []
        self._busy: list[_Child] = []

    def start(self) -> None:
        """Start one now, so that it is ready when there is a task: it takes as long as hashing 200 MB."""
        self._idle.append(_Child(self._folder, self._sample))

    def check(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Checked]]:
        """Do the tasks; results come in the order in which they end."""
        pending = deque(tasks)
        while pending or self._busy:
            while pending and len(self._busy) < self._workers:
                if not self._idle:
                    self.start()
                child = self._idle.pop()
                self._busy.append(child)
                child.give(pending.popleft())
            for connection in wait([child.connection for child in self._busy]):
                child = next(child for child in self._busy if child.connection is connection)
                message = child.receive()
                if isinstance(message, int):
                    self._progress(message)
                    continue
                self._busy.remove(child)
                if child.alive:
                    self._idle.append(child)
                else:
                    child.kill()
                yield child.task, message

    def close(self) -> None:
        """End all of them, whatever they are doing."""
        for child in self._idle + self._busy:
            child.kill()


class _Child:
    """A process that does one task after another."""

    def __init__(self, folder: Path, sample: float | None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, folder, sample), daemon=True)
        with safe_path():
            self._process.start()
        theirs.close()  # so that the connection ends when the child does
        self.alive = True

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(BrokenPipeError):  # it died; receive will say so
            self.connection.send(task)

    def receive(self) -> int | Checked:
        """Bytes of progress, or the task's result; a finding that names the file if the child has died. Raises what
        the child found wrong with the machine."""
        try:
            message: int | Checked | OSError | MemoryError = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            self.alive = False
            what = f"the process that read it died ({_cause(self._process.exitcode)})"
            return Checked([Finding(self.task.file, what, "rebuild the dataset and report this")])
        if isinstance(message, OSError | MemoryError):
            raise message
        return message

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self.connection.close()


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def _serve(connection: Connection, folder: Path, sample: float | None) -> None:
    """The child: tasks in; progress and results out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    checker = Checker(folder, sample)
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        while True:
            task = connection.recv()
            try:
                connection.send(checker.check(task, connection.send))
            except BrokenPipeError:
                raise
            except (OSError, MemoryError) as error:
                connection.send(error)


class Checker:
    """Does tasks in this process; keeps the codecs open."""

    def __init__(self, folder: Path, sample: float | None) -> None:
        self._folder = folder
        self._manifest = load_manifest(folder)
        self._kept = self._manifest.kept_columns
        self._views = {view.name: ViewChecker(folder, view, self._kept, sample) for view in self._manifest.views}

    def check(self, task: Task, advance: Callable[[int], None]) -> Checked:
        base = self._manifest.base.splits[task.split][task.shard]
        if task.view is None:
            return check_base(self._folder, base, self._kept, advance)
        shard = self._manifest.view(task.view).splits[task.split][task.shard]
        return self._views[task.view].check(shard, base, advance)
