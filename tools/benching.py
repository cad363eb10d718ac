"""What the benchmarks in this folder share: contestants in turn, figures with their spread, one line of JSON last.

A machine that others use is slow for seconds at a time. So whatever is to be compared runs in turn, round after round,
and a ratio is taken within each round: its median is good to a few percent where single timings differ by half.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A number measured several times."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.least:{spec}} … {self.most:{spec}})"


def in_turn(
    contestants: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after a round that does not count.

    ``clock`` is ``time.process_time`` where all the work is done in this process, and waiting is none of it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1 + rounds):
        for name, contestant in contestants.items():
            begun = clock()
            contestant()
            if number:
                seconds[name].append(clock() - begun)
    return seconds


def ratio(limit: Sequence[float], ours: Sequence[float]) -> Figure:
    """How much of the limit's speed is reached, round by round: 1 is all of it."""
    return Figure.of([bare / own for bare, own in zip(limit, ours, strict=True)])


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be, the first to the left and the others to the right; the first row heads it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip(), flush=True)


def print_json(bench: str, results: object, packages: Sequence[str] = ()) -> None:
    """The last line: what came out, and what it came out of. ``packages`` are those whose versions matter."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    made_with: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "commit": commit.strip(),
        "versions": {name: metadata.version(name) for name in packages},
    }
    print(json.dumps({"bench": bench, **made_with, "results": results}), flush=True)
