"""How many bytes does the loader read from a cold disk for each byte that it uses?

The files are written out of memory (``posix_fadvise``), then one epoch of batches is made, and what the process had the
kernel read from the disk (``read_bytes`` in /proc/self/io) is divided by the bytes of the documents that were shown, in
the views in which they were shown. Beside it, as many documents at random through a mapped file: the kernel reads ahead
around each. If the kernel counts nothing, or does not forget, the script says so and stops.

    python tools/bench_cold.py

Goal: 1.3. Prints a table and one JSON line. ``TMPDIR`` must be on a disk, not in memory.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from benching import print_json, print_table
from standard_library import VIEW, standard_library

from pcdata.dataset import Dataset, Split
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader

COPIES = 8
RANDOM_DOCUMENTS = 500
SYMBOL_BYTES = 2


def bytes_read() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    sys.exit("this kernel does not count the bytes that a process reads from the disk (/proc/self/io)")


def forget(dataset: Dataset) -> None:
    """Let the kernel forget what it keeps of the files; it does not as long as an array of them is about."""
    gc.collect()
    for entry in dataset.manifest.files():
        with (dataset.folder / entry.path).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sequential(split: Split) -> int:
    """The whole base, from front to back: what the count is checked with."""
    return sum(int(split.base(block).raw.sum() >= 0) * len(split.base(block).raw) for block in range(split.n_blocks))


def epoch(split: Split, mode: str, share: float) -> int:
    """Returns the bytes of what was shown."""
    mixture = MixtureConfig(mode=mode, share=share, warmup_fraction=0)
    loader = Loader(split, DataConfig(4096, 8), mixture, steps=1 << 40, seed=0)
    used = 0
    while loader.cursor.place.draw < split.n_documents:
        raw, compressed = loader.next_batch().stats.symbols_V
        used += raw + SYMBOL_BYTES * compressed
    return used


def at_random(split: Split) -> int:
    numbers = np.random.default_rng(0).permutation(split.n_documents)[:RANDOM_DOCUMENTS].tolist()
    documents = [split.document(number).symbols(VIEW) for number in numbers]
    return sum(SYMBOL_BYTES * len(symbols) for symbols in documents if symbols.sum() >= 0)


def measure(dataset: Dataset, use: Callable[[Split], int]) -> tuple[float, float]:
    """Megabytes used, and read from the disk."""
    forget(dataset)
    before = bytes_read()
    used = use(dataset.split("train"))
    return used / 1e6, (bytes_read() - before) / 1e6


def main() -> None:
    dataset = standard_library(COPIES)
    checked, found = measure(dataset, sequential)
    if found < checked:
        sys.exit(f"of {checked:.0f} MB that should be cold, {found:.0f} MB were read: the kernel has not let them go")
    readers: dict[str, Callable[[Split], int]] = {
        "an epoch, mixed 0.9": partial(epoch, mode="mixed", share=0.9),
        "an epoch, compressed": partial(epoch, mode="compressed", share=1.0),
        "an epoch, pairs": partial(epoch, mode="translation", share=0.5),
        f"{RANDOM_DOCUMENTS} documents at random": at_random,
    }
    results = {name: measure(dataset, use) for name, use in readers.items()}
    rows = [[name, f"{used:.1f}", f"{read:.1f}", f"{read / used:.2f}"] for name, (used, read) in results.items()]
    print_table([["", "MB used", "MB read", "read / used"], *rows])
    print_json(
        "cold", {name: {"used_mb": used, "read_mb": read} for name, (used, read) in results.items()}, ["pyarrow"]
    )


if __name__ == "__main__":
    main()
