"""The interface by which a build reports its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Implemented by the command line."""

    def stage(self, name: str, total_bytes: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar; call the returned function with the number of raw bytes done."""

    def say(self, text: str) -> None:
        """Print a line."""


class Silent:
    """A reporter that prints nothing, for tests and benchmarks."""

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def say(self, text: str) -> None:
        pass
