"""Tasks for tests of engines: small, importable, and telling of themselves in files."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcdata.errors import InputError
from tests.building.waiting import wait_for


@dataclass(frozen=True)
class Job:
    """A task; ``folder`` is where all tries at all tasks leave a file each."""

    folder: Path
    number: int

    def tries(self) -> list[Path]:
        return sorted(self.folder.glob(f"try-{self.number}-*"))

    def go(self, but_not: str = "") -> None:
        """Let the tasks of this folder end that wait, but for those on the node ``but_not``."""
        (self.folder / "go.tmp").write_text(but_not)
        (self.folder / "go.tmp").rename(self.folder / "go")


def note(job: Job, advance: Callable[[int], None]) -> None:
    """Leave a file with the place that this ran at."""
    (job.folder / f"try-{job.number}-{secrets.token_hex(4)}").write_text(_place())
    advance(job.number)


def note_and_wait(job: Job, advance: Callable[[int], None]) -> None:
    """The same; all but task 0 end only when they are let go."""
    note(job, advance)
    go = job.folder / "go"
    if job.number:
        wait_for(lambda: go.exists() and go.read_text() != _place())


def die_once(job: Job, advance: Callable[[int], None]) -> None:
    """Task 0 kills its worker, the first time."""
    note(job, advance)
    if job.number == 0 and len(job.tries()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def die(job: Job, advance: Callable[[int], None]) -> None:
    """Task 0 kills its worker, whenever it runs."""
    note(job, advance)
    if job.number == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(job: Job, advance: Callable[[int], None]) -> None:
    """Task 0 has a fault that a person can mend."""
    note(job, advance)
    if job.number == 0:
        raise InputError(f"{job.folder} line 1: broken; repair it")


def refuse_beside_another(job: Job, advance: Callable[[int], None]) -> None:
    """Task 0 has a fault when task 1 has begun, which would go on and on; what interrupts it is noted."""
    note(job, advance)
    if job.number == 0:
        wait_for(Job(job.folder, 1).tries)
        raise InputError(f"{job.folder} line 1: broken; repair it")
    try:
        wait_for(lambda: False)
    except BaseException as error:
        (job.folder / "interrupted").write_text(type(error).__name__)
        raise


def fill_disk(job: Job, advance: Callable[[int], None]) -> None:
    """Task 0 finds the disk full."""
    if job.number == 0:
        raise OSError(28, "No space left on device", "shards/base")


def _place() -> str:
    """The Ray node that this runs on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())
