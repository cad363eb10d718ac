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
    """For ``multiprocessing``'s method ``spawn``: processes that are started inside find their modules where this one
    does, but never in the working folder; they do not import the script that runs here, which may have no
    ``if __name__ == "__main__"``, or be a notebook; and Ctrl-C is for this process alone."""
    with safe_path(), _interrupts_held(), _another_main():
        yield


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C inside comes at the end of the block; a process that is started inside never gets it. A terminal sends it
    to all processes, and one that is importing its modules would answer with a traceback."""
    resource_tracker.ensure_running()  # the first process starts it, and it would let interrupts through again
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
