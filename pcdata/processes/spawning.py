"""How every child process is started: without the user's script, the working folder's modules, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType

from pcdata.processes.safe_path import safe_path


@contextmanager
def spawning() -> Iterator[None]:
    """For ``multiprocessing`` with ``spawn``: processes started inside find modules where this one does, but never in
    the working folder. They do not import the running script, which may be a notebook or have no
    ``if __name__ == "__main__"``. Only this process receives Ctrl-C."""
    with safe_path(), _interrupts_held(), _another_main():
        yield


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block; processes started inside never receive it. A terminal sends it to all
    processes, and one that is importing its modules would print a traceback."""
    resource_tracker.ensure_running()  # otherwise the first process starts it, which would unblock interrupts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _another_main() -> Iterator[None]:
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
