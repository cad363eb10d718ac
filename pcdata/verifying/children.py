"""Check files and codecs in child processes, because damaged or hostile ones can crash the process that opens them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pcdata.dataset.manifest import load_manifest
from pcdata.processes.isolated import Died, End, Killed, Limits, Send
from pcdata.processes.pool import Pool
from pcdata.verifying.check_base import check_base
from pcdata.verifying.check_view import ViewChecker
from pcdata.verifying.findings import REBUILD, Checked, Finding

_LIMITS: Final = Limits(memory_bytes=4_000_000_000, cpu_seconds=300)
"""Between two messages, a codec is opened, the form of a block is checked, or a few documents are decoded, which may
take more time if they are long (``ViewChecker``)."""

MOST_DEATHS: Final = 3
"""The most files of a view that may kill a process: a codec that never ends would time out again for each."""


Place: TypeAlias = tuple[str, int]
"""Split, and number of a shard in it."""


@dataclass(frozen=True)
class Task:
    """Check a base file, the codec of a view, or a view's file beside its base."""

    file: str
    """The file to blame if the process dies, as a path in the dataset."""
    view: str | None = None
    place: Place | None = None
    """Of the shard; None for the codec."""


class Children:
    """Runs tasks in children."""

    def __init__(self, folder: Path, sample: float | None, workers: int, progress: Callable[[int], object]) -> None:
        """At most ``workers`` at a time; ``progress`` is called with the raw bytes checked."""
        self._pool: Pool[Task] = Pool(workers, Checker, folder, sample, limits=_LIMITS)
        self._progress = progress

    def start(self) -> None:
        """Start one now, so that it is ready for the first task: starting takes as long as hashing 200 MB."""
        self._pool.start()

    def check(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Checked]]:
        """Do the tasks; yields results as they are completed. If a view has killed too many processes, its remaining
        files are skipped. Raises problems of the machine that a child found."""
        pending = deque(tasks)
        deaths: Counter[str] = Counter()
        for task, message in self._pool.run(pending):
            if isinstance(message, Killed):
                raise message
            if isinstance(message, Died):
                what = f"the process that {_work(task)} {message}"
                if task.view is not None and task.place is not None:
                    deaths[task.view] += 1
                    if deaths[task.view] == MOST_DEATHS:
                        what += ", as others did; no more files of this view were checked"
                        for other in [*pending]:
                            if other.view == task.view:
                                pending.remove(other)
                yield task, Checked([Finding(task.file, what, REBUILD)])
            elif isinstance(message, int):
                self._progress(message)
            elif message is not End.END:
                yield task, message

    def close(self) -> None:
        """End all of them, whatever they are doing."""
        self._pool.close()


def _work(task: Task) -> str:
    return "read it" if task.place is not None else f"opened the codec of view {task.view}"


class Checker:
    """Does tasks in this process; keeps the codecs open."""

    def __init__(self, folder: Path, sample: float | None) -> None:
        self._folder = folder
        self._manifest = load_manifest(folder)
        self._kept = self._manifest.kept_columns
        self._views = {view.name: ViewChecker(folder, view, self._kept, sample) for view in self._manifest.views}

    def __call__(self, task: Task, send: Send) -> None:
        """Send the raw bytes checked, and then the findings."""
        send(self.check(task, send))

    def check(self, task: Task, advance: Callable[[int], None]) -> Checked:
        if task.place is None:
            return Checked([*self._views[task.view or ""].codec_findings()])
        split, number = task.place
        base = self._manifest.base.splits[split][number]
        if task.view is None:
            return check_base(self._folder, base, self._kept, advance)
        shard = self._manifest.view(task.view).splits[split][number]
        return self._views[task.view].check(shard, base, advance)
