"""How does the cost grow with the corpus: of a build, and of a batch for training?

Processor time (so that waiting and other people's work are not counted) at 1, 4 and 16 times the standard library, in
varied copies. Per megabyte it should be the same, or less where what a build takes however small it is spreads; *to the
first* is how many times the cost per megabyte, or per batch, is that of the smallest corpus. The limit is 1: linear.

    python tools/bench_growth.py [--sizes 1 4 16] [--rounds 2] [--quick] [--compressor bpe:vocab_size=16384]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benching import Figure, in_turn, print_json, print_table, ratio
from building import STDLIB, Fitted, clear, find_paths, processor_seconds, raw_mb, rebuild, write_copies

from pcdata.dataset import Dataset
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader

BATCHES, BATCH_ROUNDS = 200, 5
SEQ_LEN, ROWS = 4096, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16], help="copies, of 31.5 MB each")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round, sizes 1 and 4")
    parser.add_argument("--compressor", default="bpe:vocab_size=16384")
    arguments = parser.parse_args()
    sizes, rounds = ([1, 4], 1) if arguments.quick else (arguments.sizes, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        measure(sizes, rounds, arguments.compressor, Path(folder))


def measure(sizes: list[int], rounds: int, compressor: str, scratch: Path) -> None:
    copies = scratch / "copies"
    write_copies(STDLIB, copies, max(sizes))
    corpora = {size: tuple(sorted(copies.iterdir())[:size]) for size in sizes}
    megabytes = {size: sum(raw_mb(find_paths(one)) for one in corpora[size]) for size in sizes}
    fitted = Fitted.on(copies / "000", [compressor], scratch)
    built = {size: scratch / f"built-{size}" for size in sizes}
    contestants: dict[str, Callable[[], object]] = {}
    for size in sizes:
        contestants[f"clear {size}"] = partial(clear, built[size])
        contestants[f"build {size}"] = partial(rebuild, corpora[size], built[size], fitted.requests)
    seconds = in_turn(contestants, rounds, processor_seconds)
    mixture, data = MixtureConfig(mode="mixed", share=0.9, warmup_fraction=0), DataConfig(SEQ_LEN, ROWS)
    loaders = {
        size: Loader(Dataset(built[size]).split("train"), data, mixture, steps=1 << 40, seed=0) for size in sizes
    }
    batches = in_turn(
        {f"batch {size}": partial(make_batches, loaders[size]) for size in sizes}, BATCH_ROUNDS, processor_seconds
    )
    first = sizes[0]
    rows = [["copies", "raw MB", "build, ms/MB", "to the first", "batch, ms", "to the first"]]
    results: list[dict[str, Any]] = []
    for size in sizes:
        per_mb = {of: [1e3 * taken / megabytes[of] for taken in seconds[f"build {of}"]] for of in (first, size)}
        per_batch = {of: [1e3 * taken / BATCHES for taken in batches[f"batch {of}"]] for of in (first, size)}
        result = {
            "copies": size,
            "raw_mb": megabytes[size],
            "build_ms_per_mb": Figure.of(per_mb[size]),
            "build_to_first": ratio(per_mb[size], per_mb[first]),
            "batch_ms": Figure.of(per_batch[size]),
            "batch_to_first": ratio(per_batch[size], per_batch[first]),
        }
        results.append(result)
        figures = [f"{result[name]:.2f}" for name in list(result)[2:]]
        rows.append([str(size), f"{megabytes[size]:.1f}", *figures])
    print_table(rows)
    print_json("growth", results, ("numpy", "pyarrow"))


def make_batches(loader: Loader) -> None:
    """The next of a split."""
    for _ in range(BATCHES):
        loader.next_batch()


if __name__ == "__main__":
    main()
