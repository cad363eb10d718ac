"""Where a build says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Reporter(Protocol):
    """What the command line shows, and a test keeps quiet about."""

    def stage(self, name: str, total_bytes: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar; the function it gives is told of raw bytes done."""

    def say(self, text: str) -> None:
        """Print a line."""
