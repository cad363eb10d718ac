"""How many symbols per second does the loader batch on one core, compared with the bare limit and other loaders?

Rows of 4,096 positions, 8 per batch, with targets, positions, and the sample number of each position, from eight copies
of the standard library (``corpora.dataset_of``). Contestants run in turn; ratios are within a round. *Bare* is the
least that a packing loader must do: copy documents into rows, and fill an array with their numbers. *Memmap blocks*
reads fixed blocks of a flat file of tokens, which needs no packing and has no documents. litdata and MosaicML streaming
read the same fixed blocks; they are left out if not installed (``pip install litdata mosaicml-streaming``, in a
separate environment, since they have many dependencies).

Then the cost for a rank of skipping the rows of the others: milliseconds for 512 rows per batch.

    OMP_NUM_THREADS=1 python -m tools.bench_loader [FOLDER] [--copies 8] [--rounds 9] [--batches 200]
        [--rank-rows 512]

Goals: mixed (share 0.9) 300 M symbols/s and 0.3 of its bare limit, pairs 100 M, skipping (mixed) 2 ms. Prints two
tables (symbols and seconds of this process's own time) and one JSON line.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Split
from pctrain.data.loader import Loader
from tools.benching import cost, in_turn, print_json, print_table, rate, ratio
from tools.corpora import VIEW, corpus_parser, dataset_of
from tools.loading import ROWS, SEQ_LEN, loader_of, make_batches
from tools.rival_loaders import RIVALS

RANKS = 64
PASSED_OVER = 8
"""Batches per round."""
MIXED, PAIRS, SPLICED = ("mixed", 0.9), ("translation", 0.5), ("splice", 0.5)
"""Mode and share; at half, every document is a pair."""
THROUGHPUT = {"batches of 8 x 4,096": "{name}", "M symbols/s": "{m_symbols_per_s:.0f}", "of bare": "{of_bare:.2f}"}
PASSING = {"mode and share": "{name}", "ms": "{ms:.2f}"}


def loader(split: Split, mode: str, share: float, window: int, rows: int = ROWS, ranks: int = 1) -> Loader:
    """``window``: batches in a window of shuffled rows. A round is one whole window, which is laid out at once."""
    return loader_of(split, mode, share, window * rows, rows, ranks)


def documents(split: Split, mode: str, share: float) -> Iterator[NDArray[Any]]:
    """The arrays that such a loader copies, in some order, endlessly: views of the mapped files."""
    random = np.random.default_rng(0)
    order = random.permutation(split.n_documents).tolist()
    compressed = (random.random(split.n_documents) < share).tolist()
    arrays = []
    for number in order:
        document = split.document(number)
        if mode == "translation":
            arrays += [document.raw, document.symbols(VIEW)]
        else:
            arrays.append(document.symbols(VIEW) if compressed[number] else document.raw)
    return cycle(array for array in arrays if len(array))


class Bare:
    """Documents in rows, and an array of their numbers, in reused arrays."""

    def __init__(self, source: Iterator[NDArray[Any]], batches: int) -> None:
        self._source, self._batches = source, batches
        self._document, self._begin, self._number = next(source), 0, 1
        self._ids_RT, self._documents_RT = np.empty((ROWS, SEQ_LEN), np.int64), np.empty((ROWS, SEQ_LEN), np.int32)

    def __call__(self) -> None:
        document, begin, number = self._document, self._begin, self._number
        ids_RT, documents_RT = self._ids_RT, self._documents_RT
        for _ in range(self._batches):
            for row in range(ROWS):
                at = 0
                while at < SEQ_LEN:
                    end = min(SEQ_LEN, at + len(document) - begin)
                    ids_RT[row, at:end] = document[begin : begin + end - at]
                    documents_RT[row, at:end] = number
                    at, begin = end, begin + end - at
                    if begin == len(document):
                        document, begin, number = next(self._source), 0, number + 1
        self._document, self._begin, self._number = document, begin, number


def memmap_blocks(path: Path, batches: int) -> Callable[[], None]:
    """Inputs and targets from fixed blocks, in a shuffled order."""
    tokens = np.memmap(path, np.uint16, "r")
    order = np.random.default_rng(0).permutation((len(tokens) - 1) // SEQ_LEN) * SEQ_LEN
    begins = cycle(order.tolist())

    def read() -> None:
        for _ in range(batches):
            inputs_RT, targets_RT = np.empty((2, ROWS, SEQ_LEN), np.int64)
            for row, begin in enumerate(islice(begins, ROWS)):
                inputs_RT[row] = tokens[begin : begin + SEQ_LEN]
                targets_RT[row] = tokens[begin + 1 : begin + 1 + SEQ_LEN]

    return read


def pass_over(by: Loader) -> None:
    for _ in range(PASSED_OVER):
        by.pass_over()


def flat_tokens(split: Split, path: Path) -> None:
    """The whole view in one file."""
    with path.open("wb") as file:
        for block in range(split.n_blocks):
            split.view(VIEW, block).symbols.tofile(file)


def measure_throughput(split: Split, batches: int, rounds: int, scratch: Path) -> Iterator[dict[str, Any]]:
    flat = scratch / "tokens.bin"
    flat_tokens(split, flat)
    contestants: dict[str, Callable[[], object]] = {
        "bare, mixed": Bare(documents(split, *MIXED), batches),
        "pctrain, mixed 0.9": partial(make_batches, loader(split, *MIXED, batches), batches),
        "bare, pairs": Bare(documents(split, *PAIRS), batches),
        "pctrain, pairs": partial(make_batches, loader(split, *PAIRS, batches), batches),
        "memmap blocks": memmap_blocks(flat, batches),
    }

    def row(name: str, taken: list[float], limit: list[float]) -> dict[str, Any]:
        symbols = batches * ROWS * SEQ_LEN / 1e6
        return {"name": name, "m_symbols_per_s": rate(symbols, taken), "of_bare": ratio(limit, taken)}

    seconds = in_turn(contestants, rounds, time.process_time)
    for name, taken in seconds.items():
        yield row(name, taken, seconds["bare, pairs" if "pairs" in name else "bare, mixed"])
    for name, prepare in RIVALS.items():  # separately, since some keep threads busy while others are measured
        try:
            rival = prepare(flat, scratch / name, SEQ_LEN, ROWS, batches)
        except ImportError as error:
            print(f"{name} is left out: {error}")
        else:
            seconds = in_turn({"bare": contestants["bare, mixed"], name: rival}, rounds, time.process_time)
            yield row(name, seconds[name], seconds["bare"])


def measure_passing_over(split: Split, rows: int, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds for skipping ``rows`` rows of others."""
    contestants = {
        f"{mode} {share}": partial(pass_over, loader(split, mode, share, PASSED_OVER, rows, RANKS))
        for mode, share in (MIXED, PAIRS, SPLICED)
    }
    seconds = in_turn(contestants, rounds, time.process_time)
    return [{"name": name, "ms": cost(PASSED_OVER, taken)} for name, taken in seconds.items()]


def main() -> None:
    parser = corpus_parser(__doc__, rounds=9, copies=8)
    parser.add_argument("--batches", type=int, default=200, help="batches of 8 rows per round")
    parser.add_argument("--rank-rows", type=int, default=512, help="rows in a batch of all ranks, to be skipped")
    given = parser.parse_args()
    split = dataset_of(given.corpus, given.copies).split("train")
    with tempfile.TemporaryDirectory() as scratch:
        throughput = [*measure_throughput(split, given.batches, given.rounds, Path(scratch))]
    print_table(THROUGHPUT, throughput)
    passing = measure_passing_over(split, given.rank_rows, given.rounds)
    tokens = sum(len(split.view(VIEW, block).symbols) for block in range(split.n_blocks))
    mean = {"raw": split.raw_bytes / split.n_documents, VIEW: tokens / split.n_documents}
    lengths = f"documents of {mean['raw']:,.0f} bytes or {mean[VIEW]:,.0f} tokens"
    print(f"\nskipping {given.rank_rows} rows of others; {lengths} on average")
    print_table(PASSING, passing)
    results = {"throughput": throughput, "passing_over": passing, "mean_document": mean}
    print_json("loader", results, "numpy", "pyarrow")


if __name__ == "__main__":
    main()
