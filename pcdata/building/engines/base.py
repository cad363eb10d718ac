"""The interface of an engine.

An engine only schedules. The tasks themselves (``scan.py``, ``write.py``) make sure that they can be repeated: a task
writes its files under temporary names that are unique to the attempt, and renames them when they are complete. So a
task that was started twice, or even runs twice at once because its first worker was given up as lost, leaves the same
files as a single run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

Task = TypeVar("Task")

Advance: TypeAlias = Callable[[int], None]
"""Called with raw bytes done."""

TaskFunction: TypeAlias = Callable[[Task, Advance], None]
"""Importable by name, and so is its task's class: both may be sent to another process or machine."""


class Engine(Protocol):
    """Runs the tasks of a build. Law: the files do not depend on who runs the tasks, how many at once, in what
    order."""

    def run(self, function: TaskFunction[Task], tasks: Sequence[Task], advance: Advance) -> None:
        """Call ``function(task, advance)`` for every task, in any order; returns when all are done.

        The first exception of a task stops the others and is raised here unchanged; so is a stop signal. No task keeps
        running afterwards.
        """

    def close(self) -> None:
        """Release what ``run`` has acquired."""
