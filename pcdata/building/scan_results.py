"""The results of the scan, task by task, with lines counted from the beginning of their files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import cast

from pcdata.building.rejects import RejectLine
from pcdata.building.scan import TaskInputs
from pcdata.building.workspace import Pieces, Workspace
from pcdata.inputs.sources import Entry


class ScannedTasks:
    """Digests and rejects of all scan tasks, in input order."""

    def __init__(self, workspace: Workspace, n_tasks: int) -> None:
        self._workspace = workspace
        self._n_tasks = n_tasks

    def __iter__(self) -> Iterator[tuple[int, Pieces]]:
        for task in range(self._n_tasks):
            pieces = self._workspace.read_pieces(f"scan/{task:05}.digests")
            shifts = self._lines_before.get(task)
            if shifts:
                pieces = pieces.copy()
                for entry, lines in shifts.items():
                    pieces["line"][pieces["entry"] == entry] += lines
            yield task, pieces

    def rejects(self, task: int) -> Iterator[RejectLine]:
        """A task's rejects, in input order. Memory: one of them."""
        shifts = self._lines_before.get(task, {})
        for line in self._workspace.read_lines(f"scan/{task:05}.rejects"):
            reject = RejectLine.from_text(line)
            yield reject.after(shifts.get(reject.entry, 0))

    def inputs(self, task: int) -> TaskInputs:
        return TaskInputs(self._workspace, task)

    @cached_property
    def _lines_before(self) -> dict[int, dict[int, int]]:
        """By task and entry, the number of lines before a range in its file."""
        before: dict[int, dict[int, int]] = {}
        so_far = 0
        for task in range(self._n_tasks):
            if not self._workspace.has(f"scan/{task:05}.lines"):
                continue
            inputs = self.inputs(task)
            for entry, lines in self._workspace.read_json(f"scan/{task:05}.lines").items():
                if not cast(Entry, inputs[int(entry)]).begin:
                    so_far = 0
                before.setdefault(task, {})[int(entry)] = so_far
                so_far += lines
        return before
