"""How does the cost of a build, and of a batch for training, grow with the corpus?

Processor time (to exclude waiting and other programs) at 1, 4 and 16 times the standard library, in varied copies. Per
megabyte it should stay the same, or fall as the fixed cost of a build is spread. *To the first* is the cost per
megabyte, or per batch, relative to the smallest corpus. The limit is 1: linear.

    python -m tools.bench_growth [FOLDER] [--sizes 1 4 16] [--rounds 2] [--compressor bpe:vocab_size=16384]
        [--batches 200] [--shuffle-rows N]
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from pcdata.dataset import Dataset
from tools.benching import cost, in_turn, print_json, print_table, processor_seconds, ratio
from tools.building import clear, fitted, rebuild
from tools.corpora import corpus_parser, find_paths, raw_mb, write_copies
from tools.loading import loader_of, make_batches

BATCH_ROUNDS = 5
COLUMNS = {
    "copies": "{copies}",
    "raw MB": "{raw_mb:.1f}",
    "build, ms/MB": "{build_ms_per_mb:.2f}",
    "to the first": "{build_to_first:.2f}",
    "batch, ms": "{batch_ms:.2f}",
    "to the first ": "{batch_to_first:.2f}",
}


def measure(given: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    sizes: list[int] = given.sizes
    copies, built = scratch / "copies", {size: scratch / f"built-{size}" for size in sizes}
    write_copies(given.corpus, copies, max(sizes))
    corpora = {size: tuple(sorted(copies.iterdir())[:size]) for size in sizes}
    megabytes = {size: sum(raw_mb(find_paths(one)) for one in corpora[size]) for size in sizes}
    with fitted(copies / "000", [given.compressor]) as codecs:
        builds = {str(size): partial(rebuild, corpora[size], built[size], codecs.requests) for size in sizes}
        seconds = in_turn(builds, given.rounds, processor_seconds, before=partial(clear, *built.values()))
    splits = {str(size): Dataset(built[size]).split("train") for size in sizes}
    loaders = {
        size: partial(make_batches, loader_of(split, "mixed", 0.9, given.shuffle_rows), given.batches)
        for size, split in splits.items()
    }
    batches = in_turn(loaders, BATCH_ROUNDS, processor_seconds)
    per_mb = {size: [taken / megabytes[size] for taken in seconds[str(size)]] for size in sizes}
    return [
        {
            "copies": size,
            "raw_mb": megabytes[size],
            "build_ms_per_mb": cost(1, per_mb[size]),
            "build_to_first": ratio(per_mb[size], per_mb[sizes[0]]),
            "batch_ms": cost(given.batches, batches[str(size)]),
            "batch_to_first": ratio(batches[str(size)], batches[str(sizes[0])]),
        }
        for size in sizes
    ]


def main() -> None:
    parser = corpus_parser(__doc__, rounds=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16], help="copies of the corpus")
    parser.add_argument("--compressor", default="bpe:vocab_size=16384")
    parser.add_argument("--batches", type=int, default=200, help="batches per round")
    parser.add_argument("--shuffle-rows", type=int, help="shuffle_rows of the loader")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = measure(given, Path(scratch))
    print_table(COLUMNS, results)
    print_json("growth", results, "numpy", "pyarrow")


if __name__ == "__main__":
    main()
