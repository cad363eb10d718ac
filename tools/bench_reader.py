"""How long does a dataset of a million documents take to open, and how many random documents are read per second?

The documents are made up and tiny, but in as many blocks (2,000) as a million of real size would fill: the cost of
opening depends on blocks, and that of a random document on whether its block is cached. Then the same for eight copies
of the standard library (14,000 documents in 32 blocks), whose offsets fit into a processor's cache. For comparison, the
bare limit: a list with every block's arrays as numpy views, made beforehand, of which a document is a slice.

    python -m tools.bench_reader [FOLDER] [--copies 8] [--rounds 9] [--documents 1e6] [--reads 1e5]

Goals: opening 50 ms, 500,000 documents/s, raw bytes and one view of each. Prints two tables and one JSON line.
"""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.dataset import Dataset, Split
from tools import corpora, made_up
from tools.benching import cost, in_turn, print_json, print_table, rate, ratio

READING = {
    "raw bytes and a view": "{name}, of {documents:,}",
    "thousand documents/s": "{thousand_per_s:,.0f}",
    "of bare": "{of_bare:.2f}",
}


def reading(split: Split, view: str, numbers: list[int]) -> None:
    for number in numbers:
        document = split.document(number)
        document.raw  # noqa: B018
        document.symbols(view)


def bare(split: Split, view: str, numbers: list[int]) -> Callable[[], None]:
    """Without checks, and with everything mapped."""
    bases = [split.base(block) for block in range(split.n_blocks)]
    views = [split.view(view, block) for block in range(split.n_blocks)]
    blocks = [
        (base.raw, base.raw_offsets.tolist(), columns.symbols, columns.symbol_offsets.tolist())
        for base, columns in zip(bases, views, strict=True)
    ]
    first = [0, *accumulate(split.block_documents.tolist())]

    def read() -> None:
        for number in numbers:
            block = bisect_right(first, number) - 1
            raw, raw_offsets, symbols, symbol_offsets = blocks[block]
            row = number - first[block]
            raw[raw_offsets[row] : raw_offsets[row + 1]]
            symbols[symbol_offsets[row] : symbol_offsets[row + 1]]

    return read


def measure_opening(folder: Path, rounds: int) -> list[dict[str, Any]]:
    contestants: dict[str, Callable[[], object]] = {
        "opening": lambda: Dataset(folder).train,
        "opening and one document": lambda: Dataset(folder).train[0].raw,
    }
    seconds = in_turn(contestants, rounds, time.process_time)
    return [{"name": name, "ms": cost(1, taken)} for name, taken in seconds.items()]


def measure_reading(split: Split, view: str, reads: int, rounds: int) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(0).integers(0, split.n_documents, reads).tolist()
    contestants: dict[str, Callable[[], object]] = {
        "bare": bare(split, view, numbers),
        "at random": partial(reading, split, view, numbers),
        "in order": partial(reading, split, view, sorted(numbers)),
    }
    seconds = in_turn(contestants, rounds, time.process_time)
    return [
        {
            "name": name,
            "documents": split.n_documents,
            "thousand_per_s": rate(reads / 1e3, taken),
            "of_bare": ratio(seconds["bare"], taken),
        }
        for name, taken in seconds.items()
    ]


def main() -> None:
    parser = corpora.corpus_parser(__doc__, rounds=9, copies=8)
    parser.add_argument("--documents", type=float, default=1e6, help="made-up documents")
    parser.add_argument("--reads", type=float, default=1e5, help="documents read per round")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tiny = made_up.made_up(Path(scratch), int(given.documents)).split("train")
        opened = measure_opening(Path(scratch), given.rounds)
        print_table({f"{tiny.n_documents:,} documents": "{name}", "ms": "{ms:.1f}"}, opened)
        read = measure_reading(tiny, made_up.VIEW, int(given.reads), given.rounds)
    split = corpora.dataset_of(given.corpus, given.copies).split("train")
    read += measure_reading(split, corpora.VIEW, int(given.reads), given.rounds)
    print()
    print_table(READING, read)
    print_json("reader", {"opening": opened, "reading": read}, "numpy", "pyarrow")


if __name__ == "__main__":
    main()
