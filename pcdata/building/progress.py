"""Where a build says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Reporter(Protocol):
    """What the command line shows."""

    def stage(self, name: str, total_bytes: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar; the function it gives is told of raw bytes done."""

    def say(self, text: str) -> None:
        """Print a line."""


class Silent:
    """A reporter that says nothing, for tests and benchmarks."""

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def say(self, text: str) -> None:
        pass
