"""Ctrl-C while modules are loaded, which takes seconds: there is nothing to save yet."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNAL_EXIT: Final = 128
"""A command that a signal ended exits with this plus the signal's number: 130 for SIGINT, 143 for SIGTERM."""


@contextmanager
def loading() -> Iterator[None]:
    """Inside, SIGINT ends the process at once. As an exception it would come out of some half-loaded module as another
    one: an ``ImportError`` of numpy's, say. Where it is ignored, it stays so."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(SIGNAL_EXIT + number)
