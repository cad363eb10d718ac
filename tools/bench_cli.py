"""Does the command line answer at once? Processor time of ``pcdata --help``, and of ``pcdata stats`` on 1,000 shards.

The limit beside it is a Python that does nothing. *Goal* is what they may take on the 2-core machine that most of our
figures come from; where importing takes longer than elsewhere, so does this.

    python tools/bench_cli.py [--rounds 9] [--quick] [--shards 1000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benching import Figure, in_turn, print_json, print_table
from building import options, processor_seconds

from pcdata.building.build import build
from pcdata.building.progress import Silent
from pcdata.codecs.requests import parse_requests

GOALS = {"pcdata --help": 0.25, "pcdata stats": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--shards", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(3 if arguments.quick else arguments.rounds, arguments.shards, Path(folder))


def measure(rounds: int, shards: int, scratch: Path) -> None:
    dataset = scratch / "shards"
    make_shards(scratch / "corpus", dataset, shards)
    contestants: dict[str, Callable[[], object]] = {
        "python -c pass": partial(run, "-c", "pass"),
        "pcdata --help": partial(run, "-m", "pcdata.cli", "--help"),
        "pcdata stats": partial(run, "-m", "pcdata.cli", "stats", str(dataset)),
    }
    seconds = in_turn(contestants, rounds, processor_seconds)
    figures = {name: Figure.of(taken) for name, taken in seconds.items()}
    rows = [["command", "processor time, s", "goal, s"]]
    rows += [[name, f"{figure:.3f}", f"{GOALS[name]}" if name in GOALS else ""] for name, figure in figures.items()]
    print_table(rows)
    print_json("cli", {"shards": shards, "processor_seconds": figures}, ("click", "pyarrow", "numpy"))


def make_shards(corpus: Path, dataset: Path, shards: int) -> None:
    """As many shards, each of a few documents of train, in one view."""
    corpus.mkdir()
    for number in range(shards):
        (corpus / f"{number:05}.py").write_text(f"x = {number}\n" * 4)
    small = options(corpus, dataset, parse_requests(["gzip"]))
    build(replace(small, shard_bytes=1, val_fraction=0), Silent())


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    main()
