"""Does the command line respond at once? Processor time of ``pcdata --help``, and of ``pcdata stats`` on 1,000 shards.

For comparison, a Python that does nothing. *Goal* is the limit on the 2-core machine of most of our numbers; where
imports take longer, so will these.

    python -m tools.bench_cli [--rounds 9] [--shards 1000]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.codecs.requests import parse_requests
from tools.benching import Figure, in_turn, parser_of, print_json, print_table, processor_seconds
from tools.building import options

GOALS = {"python -c pass": "", "pcdata --help": "0.25", "pcdata stats": "0.5"}


def make_shards(corpus: Path, dataset: Path, shards: int) -> None:
    """A dataset of ``shards`` shards with one view, a few train documents in each."""
    corpus.mkdir()
    for number in range(shards):
        (corpus / f"{number:05}.py").write_text(f"x = {number}\n" * 4)
    small = options(corpus, dataset, parse_requests(["gzip"]))
    build(replace(small, dataset=replace(small.dataset, shard_bytes=1)), Reporter())


def run(*arguments: object) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True)


def main() -> None:
    parser = parser_of(__doc__, rounds=9)
    parser.add_argument("--shards", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = Path(scratch) / "shards"
        make_shards(Path(scratch) / "corpus", dataset, given.shards)
        commands: dict[str, Callable[[], object]] = {
            "python -c pass": partial(run, "-c", "pass"),
            "pcdata --help": partial(run, "-m", "pcdata.cli", "--help"),
            "pcdata stats": partial(run, "-m", "pcdata.cli", "stats", dataset),
        }
        seconds = in_turn(commands, given.rounds, processor_seconds)
    results = [{"command": name, "seconds": Figure.of(taken), "goal": GOALS[name]} for name, taken in seconds.items()]
    print_table({"command": "{command}", "processor time, s": "{seconds:.3f}", "goal, s": "{goal}"}, results)
    print_json("cli", {"shards": given.shards, "commands": results}, "click", "pyarrow", "numpy")


if __name__ == "__main__":
    main()
