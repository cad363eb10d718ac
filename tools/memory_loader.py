"""Does the memory of the loader grow with the number of documents?

Datasets of made-up documents of 96 bytes on average, in blocks of 8 MB as a build makes them and once more in blocks of
500, as many as there would be of real size; a process of its own for each makes batches of 8 x 4,096, half of the
documents compressed, for some seconds. What is counted is RssAnon, the memory that no file backs, at its highest and
less what the process had before it opened the dataset.

    python tools/memory_loader.py [--documents 1e5 1e6 1e7] [--batches 5000]

Goal: 300 MB, libraries included, and no list of documents. Takes 3 GB in the folder for temporary files. Prints a table
and one JSON line.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path

from benching import print_json, print_table
from made_up import made_up

from pcdata.dataset import Dataset
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader

MANY_BLOCKS, FEW_BLOCKS = 500, 83_000
"""Documents of a block."""


def anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise OSError("this kernel does not tell anonymous memory from other")


def load(folder: Path, batches: int) -> dict[str, float]:
    """In a process of its own."""
    before = anonymous_mb()
    split = Dataset(folder).split("train")
    opened = anonymous_mb()
    mixture = MixtureConfig(mode="mixed", share=0.5, warmup_fraction=0)
    loader = Loader(split, DataConfig(4096, 8), mixture, steps=1 << 40, seed=0)
    most = 0.0
    for _ in range(batches):
        cursor = loader.next_batch().cursor
        most = max(most, anonymous_mb())
    return {"libraries": before, "opened": opened - before, "loading": most - before, "all": most, "read": cursor.draw}


def measure(documents: int, block_documents: int, batches: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="memory-loader-") as folder:
        blocks = made_up(Path(folder), documents, block_documents=block_documents).split("train").n_blocks
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return {"documents": documents, "blocks": blocks, **pool.apply(load, (Path(folder), batches))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--documents", nargs="*", type=float, default=[1e5, 1e6, 1e7])
    parser.add_argument("--batches", type=int, default=5000)
    given = parser.parse_args()
    print("anonymous memory, MB")
    results = []
    for documents in map(int, given.documents):
        results += [measure(documents, size, given.batches) for size in (FEW_BLOCKS, MANY_BLOCKS)]
    names = ("documents", "blocks", "libraries", "opened", "loading", "all", "read")
    head = ["documents", "blocks", "libraries", "opened", "and loading", "in all", "documents read"]
    print_table([head, *([f"{row[name]:,.0f}" for name in names] for row in results)])
    print_json("memory of the loader", results, ["numpy", "pyarrow"])


if __name__ == "__main__":
    main()
