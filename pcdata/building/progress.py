"""How a command reports its progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pcdata.terminal import safe, say


class Reporter:
    """Progress bars and sentences on standard error; bars only on a terminal, and nothing where it is quiet."""

    def __init__(self, quiet: bool = True) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        """Open a progress bar; the function it gives is told of raw bytes done."""
        if self._quiet:
            yield lambda done: None
            return
        from tqdm import tqdm

        shape = {"unit": "B", "unit_scale": True, "disable": None, "file": sys.stderr}  # None: unless a terminal
        with tqdm(total=total_bytes, desc=safe(name), **shape) as bar:
            # Nothing done is told so that the clock goes on.
            yield lambda done: bar.update(done) if done else bar.refresh()

    def say(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            say(text)
