"""A command's progress, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pcdata.terminal import safe, say


class BarReporter:
    """Progress bars on standard error; none without a terminal or with --quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        from tqdm import tqdm

        disable = True if self._quiet else None  # None: if there is no terminal
        shape = {"unit": "B", "unit_scale": True, "disable": disable, "file": sys.stderr}
        with tqdm(total=total_bytes, desc=safe(name), **shape) as bar:
            # Zero progress refreshes the bar, so that its clock keeps running.
            yield lambda done: bar.update(done) if done else bar.refresh()

    def say(self, text: str) -> None:
        if not self._quiet:
            say(text)
