"""Shared by benchmarks: contestants in turn, numbers with their spread, a table for people, one JSON line last.

A shared machine is slow for seconds at a time. So contestants run in turn, round after round, and ratios are taken
within each round: their median is good to a few percent even where single timings differ by half.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pcdata.text import table


class Figure(NamedTuple):
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.least:{spec}} … {self.most:{spec}})"


def parser_of(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """``--help`` prints the script's docstring; ``rounds`` is the default of ``--rounds``, 0 for a script without."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    return parser


def in_turn(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    before: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after a round that does not count.

    ``clock`` is ``time.process_time`` if this process does all the work and waiting should not count. ``before`` runs
    before each round and is not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1 + rounds):
        before()
        for name, contestant in contestants.items():
            begun = clock()
            contestant()
            if number:
                seconds[name].append(clock() - begun)
    return seconds


def processor_seconds() -> float:
    """A clock: processor time of this process, its threads, and its finished children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def rate(amount: float, seconds: Sequence[float]) -> Figure:
    """Amount per second, if each round does ``amount``."""
    return Figure.of([amount / taken for taken in seconds])


def cost(amount: float, seconds: Sequence[float]) -> Figure:
    """Milliseconds per item, if each round does ``amount``."""
    return Figure.of([1e3 * taken / amount for taken in seconds])


def ratios(limit: Sequence[float], ours: Sequence[float]) -> list[float]:
    """The fraction of the limit's speed reached in each round."""
    return [bare / own for bare, own in zip(limit, ours, strict=True)]


def ratio(limit: Sequence[float], ours: Sequence[float]) -> Figure:
    """``ratios`` as one figure."""
    return Figure.of(ratios(limit, ours))


def print_table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print columns as wide as necessary, the first left-aligned, the others right-aligned.

    ``columns`` maps a heading to a format string for the values of a row, such as ``{ratio:.2f}``.
    """
    cells = [[*columns], *([cell.format_map(row) for cell in columns.values()] for row in rows)]
    print(*table(cells), sep="\n", flush=True)


def print_json(bench: str, results: object, *packages: str) -> None:
    """The last line: results, machine and versions. ``packages`` are those whose versions matter."""
    made_with = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "commit": commit(),
        "versions": {name: metadata.version(name) for name in packages},
    }
    print(json.dumps({"bench": bench, **made_with, "results": results}), flush=True)


def commit() -> str:
    """The commit of this checkout, with a ``+`` if files differ from it; empty without one."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    folder = Path(__file__).parent
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False).stdout.strip()
