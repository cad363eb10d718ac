"""Tasks on several machines, with Ray: on an existing cluster, or one that is started on this machine for the build.

If a worker or machine is lost, Ray reruns its tasks elsewhere. Progress is reported when a task ends, so that lost work
is not counted. Ray prints on standard output that it lost a machine, which cannot be turned off.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.job_config import JobConfig

from pcdata.building.engines.base import Advance, Task, TaskFunction
from pcdata.building.versions import library_versions
from pcdata.errors import BuildError, OptionError
from pcdata.machine import cores
from pcdata.processes.safe_path import safe_path

MAX_LOSSES = 5
"""How often one task may lose its worker: enough for unreliable machines, but not for a task that kills its worker."""

_KNOCK_SECONDS = 10
_STOP_SECONDS = 5
_OBJECT_STORE_BYTES = 100 << 20
"""In a cluster of our own, which does not need it: Ray would take a third of the memory."""


class RayEngine:
    """Runs tasks on a cluster, or on this machine."""

    def __init__(self, address: str, workers: int, output: Path) -> None:
        """``address``: of the cluster; empty: Ray is started on this machine. ``workers``: tasks at once; 0: by its
        cores. ``output``: a folder that all machines must see."""
        if "://" in address:
            raise OptionError(f"--ray-address must be HOST:PORT or auto, got {address!r}")
        self._address = address
        self._workers = workers
        self._common = Common(output.absolute(), tuple(library_versions().items()))
        self._thread = _Thread()
        self._start_of_ray: Future[None] | None = None

    def run(self, function: TaskFunction[Task], tasks: Sequence[Task], advance: Advance) -> None:
        """As ``Engine`` says. Raises ``BuildError`` if a task has lost its worker too often."""
        if not tasks:
            return
        self._start()
        remote = ray.remote(_run).options(num_cpus=1, max_retries=MAX_LOSSES)
        left = iter(tasks)
        running: dict[Future[int], Any] = {}
        try:
            while True:
                for task in islice(left, max(0, self._at_once() - len(running))):
                    submitted = remote.remote(self._common, function, task)
                    running[submitted.future()] = submitted
                if not running:
                    return
                # Not ray.wait: only KeyboardInterrupt interrupts that, and a stop signal may be any exception.
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    del running[future]
                    advance(_result(future))
        except BaseException:
            _stop(running)
            raise

    def close(self) -> None:
        """Leave the cluster, which ends this build's workers; stop it if it was started here."""
        if self._address and self._start_of_ray is not None and not self._start_of_ray.done():
            return  # the cluster does not answer, and Ray cannot be interrupted: the thread ends with the process
        if self._start_of_ray is not None:
            wait([self._start_of_ray])
            self._start_of_ray = None
            _result_of(self._thread.call(ray.shutdown))
        self._thread.end()

    def _at_once(self) -> int:
        """Tasks to submit: two per core of a cluster that may grow and shrink, so that no core waits for us."""
        return self._workers or max(2, 2 * int(ray.cluster_resources().get("CPU", 0)))

    def _start(self) -> None:
        if self._start_of_ray is not None:
            return
        if self._address:
            _knock(self._address)
            where: dict[str, Any] = {"address": self._address}
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            where = {
                "address": "local",
                "num_cpus": self._workers or cores(),
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
            }
        logging.getLogger("ray").setLevel(logging.ERROR)
        init = partial(ray.init, job_config=_Job(), log_to_driver=False, logging_level=logging.ERROR, **where)
        try:
            with safe_path():
                self._start_of_ray = self._thread.call(init)
                _result_of(self._start_of_ray)
        except (OSError, RuntimeError, ValueError) as error:
            raise BuildError(f"Ray cannot be {'reached' if self._address else 'started'}: {error}") from error


class _Thread:
    """Starts and stops Ray, which would handle SIGTERM itself in the main thread.

    A cluster started here ends with the thread that started it. Python does not wait for this thread when it exits, as
    it does for one of a pool.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], object], Future[None]] | None] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def call(self, function: Callable[[], object]) -> Future[None]:
        done: Future[None] = Future()
        self._calls.put((function, done))
        return done

    def end(self) -> None:
        self._calls.put(None)

    def _work(self) -> None:
        for function, done in iter(self._calls.get, None):
            try:
                function()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)


def _result_of(done: Future[None]) -> None:
    try:
        done.result()
    finally:
        if threading.current_thread() is threading.main_thread():
            # Below Python, ray.init installed a handler that prints a trace, and ray.shutdown the default one.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


class _Job(JobConfig):  # type: ignore[misc] # mypy does not look into Ray
    """For any other job, Ray puts the driver's working folder first on its workers' module path."""

    def _runtime_env_has_working_dir(self) -> bool:
        return True


def _knock(address: str) -> None:
    """Find out within seconds if nobody answers; Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise OptionError(f"--ray-address must be HOST:PORT or auto, got {address!r}")
    try:
        socket.create_connection((host, int(port)), _KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise BuildError(
            f"no Ray cluster answers at {address} ({error}); give the address that `ray start --head` printed"
        ) from None


def _result(future: Future[int]) -> int:
    """Raw bytes that a task did. Raises the task's own exception."""
    try:
        return future.result()
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise BuildError(
            f"a task lost its worker {MAX_LOSSES + 1} times (killed, or out of memory?), the last time by "
            f"{type(error).__name__}; rerun the same command to resume"
        ) from error


def _stop(running: dict[Future[int], Any]) -> None:
    """Interrupt running tasks, so that they remove their temporary files; those that ignore it end with ``close``."""
    for task in running.values():
        ray.cancel(task)
    wait(running, _STOP_SECONDS)


@dataclass(frozen=True)
class Common:
    """What every machine must have in common with the one where the build was started."""

    output: Path
    versions: tuple[tuple[str, str], ...]


@lru_cache(maxsize=1)
def check_machine(common: Common) -> None:
    """Once per worker process. Raises ``BuildError`` if this machine would fail, or write different bytes."""
    here = os.uname().nodename
    if not common.output.is_dir():
        raise BuildError(
            f"machine {here} does not see {common.output}; with --engine ray, input and output must have the same "
            "path on a file system that all machines share"
        )
    versions = tuple(library_versions().items())
    if versions != common.versions:
        raise BuildError(
            f"machine {here} has {dict(versions)}, the build was started with {dict(common.versions)}; "
            "install the same versions on all machines"
        )


def _run(common: Common, function: TaskFunction[Task], task: Task) -> int:
    """In a worker: do one task; returns the raw bytes done."""
    check_machine(common)
    done = 0

    def advance(amount: int) -> None:
        nonlocal done
        done += amount

    function(task, advance)
    return done
