"""How long does a dataset of a million documents take to open, and how many documents a second are read at random?

The documents are made up and tiny, but lie in as many blocks (2,000) as a million of real size would fill: what opening
costs depends on blocks, what a random document costs on whether its block is remembered. Then the same for the standard
library eight times over (14,000 documents in 32 blocks), whose offsets fit into a processor's cache. Beside them the
bare limit: every block's arrays as numpy views in a list beforehand, and a document a slice of them.

    python tools/bench_reader.py [--rounds 9] [--documents 1e6]

Goals: opening 50 ms, 500,000 documents/s, raw bytes and one view of each. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
from benching import Figure, in_turn, print_json, print_table, ratio
from made_up import VIEW as QUADS
from made_up import made_up
from standard_library import VIEW as BPE
from standard_library import standard_library

from pcdata.dataset import Dataset, Split

COPIES = 8
READ = 100_000
"""Documents in a round."""


def opening(folder: Path) -> None:
    """Until a document can be asked for."""
    Dataset(folder).split("train")


def first_document(folder: Path) -> None:
    Dataset(folder).split("train").document(0).raw  # noqa: B018


def reading(split: Split, view: str, numbers: list[int]) -> None:
    for number in numbers:
        document = split.document(number)
        document.raw  # noqa: B018
        document.symbols(view)


def bare(split: Split, view: str, numbers: list[int]) -> Callable[[], None]:
    """Where nothing is checked and nothing is mapped any more."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--documents", type=float, default=1e6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        splits = {
            QUADS: made_up(folder, int(given.documents)).split("train"),
            BPE: standard_library(COPIES).split("train"),
        }
        contestants: dict[str, Callable[[], object]] = {
            "opening": partial(opening, folder),
            "opening and one document": partial(first_document, folder),
        }
        for view, split in splits.items():
            numbers = np.random.default_rng(0).integers(0, split.n_documents, READ).tolist()
            size = f"{split.n_documents:,}"
            contestants |= {
                f"bare, of {size}": bare(split, view, numbers),
                f"at random, of {size}": partial(reading, split, view, numbers),
                f"in order, of {size}": partial(reading, split, view, sorted(numbers)),
            }
        seconds = in_turn(contestants, given.rounds, time.process_time)
    opened = {name: Figure.of([1e3 * each for each in seconds.pop(name)]) for name in [*seconds][:2]}
    print_table(
        [
            [f"{splits[QUADS].n_documents:,} documents", "ms"],
            *([name, f"{figure:.1f}"] for name, figure in opened.items()),
        ]
    )
    rates = {name: Figure.of([READ / 1e3 / each for each in taken]) for name, taken in seconds.items()}
    limits = {name: seconds[f"bare, {name.partition(', ')[2]}"] for name in seconds}
    of_bare = {name: ratio(limits[name], taken) for name, taken in seconds.items()}
    rows = [[name, f"{rate:,.0f}", f"{of_bare[name]:.2f}"] for name, rate in rates.items()]
    print()
    print_table([["raw bytes and a view", "thousand documents/s", "of bare"], *rows])
    print_json(
        "reader", {"opening_ms": opened, "thousand_documents_per_s": rates, "of_bare": of_bare}, ["numpy", "pyarrow"]
    )


if __name__ == "__main__":
    main()
