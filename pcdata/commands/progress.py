"""Progress of a command, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pcdata.terminal import safe, say


class BarReporter:
    """Progress bars on standard error; silent where that is no terminal, or with --quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        from tqdm import tqdm

        disable = True if self._quiet else None  # None: unless a terminal
        shape = {"unit": "B", "unit_scale": True, "disable": disable, "file": sys.stderr}
        with tqdm(total=total_bytes, desc=safe(name), **shape) as bar:
            # Nothing done is told so that the clock goes on.
            yield lambda done: bar.update(done) if done else bar.refresh()

    def say(self, text: str) -> None:
        if not self._quiet:
            say(text)
