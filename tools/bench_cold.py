"""How many bytes does the loader read from a cold disk for each byte that it uses?

The files are dropped from memory (``posix_fadvise``), then one epoch of batches is made. The bytes that the kernel read
from the disk for the process (``read_bytes`` in /proc/self/io) are divided by the bytes of the documents that were
shown, in the views in which they were shown. For comparison, random documents are read through a mapped file, where the
kernel reads ahead around each. The script stops with a message if the kernel does not count, or keeps the files.

    python -m tools.bench_cold [FOLDER] [--copies 8] [--documents 500] [--shuffle-rows 2048]

Goal: 1.3. Prints a table and one JSON line. ``TMPDIR`` must be on a disk, not in memory.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pcdata.dataset import Dataset, Split
from tools.benching import print_json, print_table
from tools.corpora import VIEW, corpus_parser, dataset_of
from tools.loading import loader_of
from tools.procfs import counted

SYMBOL_BYTES = 2
COLUMNS = {"": "{reader}", "MB used": "{used_mb:.1f}", "MB read": "{read_mb:.1f}", "read / used": "{ratio:.2f}"}


def forget(dataset: Dataset) -> None:
    """Drop the files from memory, which the kernel does not do while an array of them exists."""
    gc.collect()
    for entry in dataset.manifest.files():
        with (dataset.folder / entry.path).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sequential(split: Split) -> int:
    """Read the whole base in order, to check the count."""
    return sum(int(split.base(block).raw.sum() >= 0) * len(split.base(block).raw) for block in range(split.n_blocks))


def epoch(split: Split, mode: str, share: float, shuffle_rows: int) -> int:
    """Returns the bytes that were shown."""
    loader = loader_of(split, mode, share, shuffle_rows)
    used = documents = 0
    while documents < split.n_documents:
        stats = loader.next_batch().stats
        raw, compressed = stats.symbols_V
        used += raw + SYMBOL_BYTES * compressed
        documents += stats.documents
    return used


def at_random(split: Split, count: int) -> int:
    numbers = np.random.default_rng(0).permutation(split.n_documents)[:count].tolist()
    documents = [split.document(number).symbols(VIEW) for number in numbers]
    return sum(SYMBOL_BYTES * len(symbols) for symbols in documents if symbols.sum() >= 0)


def measure(dataset: Dataset, reader: str, use: Callable[[Split], int]) -> dict[str, Any]:
    """Megabytes used, and read from the disk."""
    forget(dataset)
    before = counted("io", "read_bytes")
    used = use(dataset.split("train"))
    read = counted("io", "read_bytes") - before
    return {"reader": reader, "used_mb": used / 1e6, "read_mb": read / 1e6, "ratio": read / used}


def main() -> None:
    parser = corpus_parser(__doc__, rounds=0, copies=8)
    parser.add_argument("--documents", type=int, default=500, help="documents to read at random")
    # About ten windows per epoch. One of the default size would hold the whole corpus.
    parser.add_argument("--shuffle-rows", type=int, default=2048)
    given = parser.parse_args()
    dataset = dataset_of(given.corpus, given.copies)
    checked = measure(dataset, "the whole base", sequential)
    if checked["ratio"] < 1:
        used, read = checked["used_mb"], checked["read_mb"]
        sys.exit(f"of {used:.0f} MB that should be cold, {read:.0f} MB were read: the kernel has not dropped them")
    shown = partial(epoch, shuffle_rows=given.shuffle_rows)
    readers: dict[str, Callable[[Split], int]] = {
        "an epoch, mixed 0.9": partial(shown, mode="mixed", share=0.9),
        "an epoch, compressed": partial(shown, mode="compressed", share=1.0),
        "an epoch, pairs": partial(shown, mode="translation", share=0.5),
        f"{given.documents} documents at random": partial(at_random, count=given.documents),
    }
    results = [measure(dataset, name, use) for name, use in readers.items()]
    print_table(COLUMNS, results)
    print_json("cold", results, "pyarrow")


if __name__ == "__main__":
    main()
