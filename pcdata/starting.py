"""Starting a command: from the first moment, even while modules are loaded, a signal ends it with a sentence.

Nothing slow is imported here.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
EXIT_FAULT: Final = 1
EXIT_SIGNAL: Final = 128
"""A process stopped by a signal exits with this plus the signal's number."""


def start(module: str) -> None:
    """Run the function ``main`` of a module. Does not return."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, quit_at_once)
    try:
        main = importlib.import_module(module).main
        terminal = importlib.import_module("pcdata.terminal")
    except MemoryError:
        _end("error: there is not enough memory to start; free some, and run the same command again", EXIT_FAULT)
    sys.excepthook = terminal.say_traceback
    terminal.say_warnings()
    main()


def quit_at_once(number: int, frame: FrameType | None) -> None:
    """A signal handler for when there is nothing to clean up."""
    _end("stopped", EXIT_SIGNAL + number)


def _end(sentence: str, code: int) -> None:
    """Write without Python's streams, which the signal may have interrupted."""
    try:
        os.write(2, f"{sentence}\n".encode())
    finally:
        os._exit(code)
