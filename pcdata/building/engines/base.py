"""What an engine is, and which there are.

An engine only schedules. What a task does, and that it may be done again, is the tasks' own affair (``scan.py``,
``write.py``): it writes its files under temporary names that no other try has, and renames them when they are whole. So
a task that was begun twice, or even runs twice at once because its first worker was given up for lost, leaves what one
run of it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from pcdata.extras import require

if TYPE_CHECKING:
    from pcdata.building.options import BuildOptions

Task = TypeVar("Task")

Advance: TypeAlias = Callable[[int], None]
"""Is told of raw bytes done."""

TaskFunction: TypeAlias = Callable[[Task, Advance], None]
"""Importable by its name, and so is its task's class: both may travel to another process or machine."""


class Engine(Protocol):
    """Runs the tasks of a build. Law: the same files, whoever runs the tasks, how many at once, in which order."""

    def run(self, function: TaskFunction[Task], tasks: Sequence[Task], advance: Advance) -> None:
        """Call ``function(task, advance)`` for every task, in any order; returns when all are done.

        The first exception of a task stops the others and is raised here, as itself; so is a stop signal. No task runs
        on afterwards.
        """

    def close(self) -> None:
        """Let go of what ``run`` took and kept."""


def _process(options: BuildOptions) -> Engine:
    from pcdata.building.engines.process import ProcessEngine

    return ProcessEngine(options.workers)


def _ray(options: BuildOptions) -> Engine:
    require("ray", "--engine ray")
    from pcdata.building.engines.ray import RayEngine

    return RayEngine(options)


ENGINES: Mapping[str, Callable[[BuildOptions], Engine]] = {"process": _process, "ray": _ray}


def open_engine(options: BuildOptions) -> Engine:
    """The engine that ``options`` name. It takes nothing before its first ``run``."""
    return ENGINES[options.engine](options)
