"""Does the memory of the loader grow with the number of documents?

Datasets of made-up documents of 96 bytes on average, in blocks of 8 MB as a build makes them, and again in blocks of
500 documents, for as many blocks as documents of real size would fill. For each, a child process makes batches of 8 x
4,096 for some seconds, with half of the documents compressed. Measured is the peak of RssAnon, the memory that no file
backs, minus what the process had before it opened the dataset.

    python -m tools.memory_loader [--documents 1e5 1e6 1e7] [--batches 5000] [--shuffle-rows N]

Goal: 300 MB, including libraries, and no list of documents. Takes 3 GB in the folder for temporary files. Prints a
table and one JSON line.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

from pcdata.dataset import Dataset
from tools.benching import parser_of, print_json, print_table
from tools.loading import loader_of, make_batches
from tools.made_up import made_up
from tools.procfs import anonymous_mb

MANY_BLOCKS, FEW_BLOCKS = 500, 83_000
"""Documents per block."""
COLUMNS = {
    "documents": "{documents:,}",
    "blocks": "{blocks:,}",
    "libraries": "{libraries:.0f}",
    "opened": "{opened:.0f}",
    "and loading": "{loading:.0f}",
    "in all": "{all:.0f}",
    "documents read": "{read:,}",
}


def load(folder: Path, batches: int, shuffle_rows: int | None) -> dict[str, Any]:
    """Runs in a child process."""
    before = anonymous_mb()
    split = Dataset(folder).split("train")
    opened = anonymous_mb()
    loader = loader_of(split, "mixed", 0.5, shuffle_rows)
    most, read = 0.0, 0
    for _ in range(batches):
        read += make_batches(loader, 1)
        most = max(most, anonymous_mb())
    return {"libraries": before, "opened": opened - before, "loading": most - before, "all": most, "read": read}


def measure(documents: int, block_documents: int, *arguments: int | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="memory-loader-") as folder:
        blocks = made_up(Path(folder), documents, block_documents=block_documents).split("train").n_blocks
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return {"documents": documents, "blocks": blocks, **pool.apply(load, (Path(folder), *arguments))}


def main() -> None:
    parser = parser_of(__doc__, rounds=0)
    parser.add_argument("--documents", nargs="*", type=float, default=[1e5, 1e6, 1e7])
    parser.add_argument("--batches", type=int, default=5000)
    parser.add_argument("--shuffle-rows", type=int)
    given = parser.parse_args()
    print("anonymous memory, MB")
    results = [
        measure(int(documents), block_documents, given.batches, given.shuffle_rows)
        for documents in given.documents
        for block_documents in (FEW_BLOCKS, MANY_BLOCKS)
    ]
    print_table(COLUMNS, results)
    print_json("memory of the loader", results, "numpy", "pyarrow")


if __name__ == "__main__":
    main()
