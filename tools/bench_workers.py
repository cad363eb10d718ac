"""How much do more workers speed up a build, compared with bare processes?

The limit is what the machine allows: processes that only read and encode the same documents, in blocks as in a build,
one against several (cores share caches and memory, so several are seldom several times as fast). *Reached* is the
speed-up of a build over that of the bare processes, computed per round. The corpus is varied copies of the standard
library, large enough that the second that processes take to start does not matter.

    python -m tools.bench_workers [FOLDER] [--copies 16] [--workers 2] [--rounds 3] [--compressor zstd]
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pcdata.codecs.base import Codec, open_codec
from pcdata.dataset import Dataset
from tools.benching import Figure, in_turn, print_json, print_table, rate, ratio, ratios
from tools.building import blocks, clear, fitted, read_bare, rebuild
from tools.corpora import corpus_parser, find_paths, raw_mb, write_copies

NAMES = {"build": "build", "bare": "read and encode"}

_codec: Codec
"""The codec of a bare process."""


def start(folder: Path) -> None:
    global _codec
    _codec = open_codec(Dataset(folder).manifest.views[0], folder)


def read_and_encode(paths: list[str]) -> int:
    return len(_codec.encode(read_bare(paths)).symbols)


def measure(corpus: Path, workers: int, compressor: str, rounds: int, scratch: Path) -> dict[str, list[float]]:
    """Seconds by contestant, ``build`` or ``bare``, and by one process or ``n``."""
    paths = find_paths(corpus)
    parts = [paths[first:end] for first, end in blocks([Path(path).stat().st_size for path in paths])]
    outputs, spawn = (scratch / "one", scratch / "several"), multiprocessing.get_context("spawn")
    with (
        fitted(corpus, [compressor]) as codecs,
        spawn.Pool(1, start, (codecs.folder,)) as one,
        spawn.Pool(workers, start, (codecs.folder,)) as several,
    ):
        contestants: dict[str, Callable[[], object]] = {
            "build, 1": partial(rebuild, corpus, outputs[0], codecs.requests),
            "build, n": partial(rebuild, corpus, outputs[1], codecs.requests, workers),
            "bare, 1": partial(one.map, read_and_encode, parts, 1),
            "bare, n": partial(several.map, read_and_encode, parts, 1),
        }
        return in_turn(contestants, rounds, before=partial(clear, *outputs))


def main() -> None:
    parser = corpus_parser(__doc__, rounds=3, copies=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compressor", default="zstd")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        write_copies(given.corpus, corpus, given.copies)
        size = raw_mb(find_paths(corpus))
        seconds = measure(corpus, given.workers, given.compressor, given.rounds, Path(scratch))
    gains = {name: ratios(seconds[f"{name}, 1"], seconds[f"{name}, n"]) for name in NAMES}
    rows: list[dict[str, Any]] = [
        {
            "what": what,
            "one_mb_s": rate(size, seconds[f"{name}, 1"]),
            "several_mb_s": rate(size, seconds[f"{name}, n"]),
            "gain": Figure.of(gains[name]),
        }
        for name, what in NAMES.items()
    ]
    reached = ratio(gains["build"], gains["bare"])
    columns = {
        f"{given.compressor}, {size:.0f} MB": "{what}",
        "1 process, MB/s": "{one_mb_s:.1f}",
        f"{given.workers}, MB/s": "{several_mb_s:.1f}",
        "gain": "{gain:.2f}",
    }
    print_table(columns, rows)
    print(f"reached: {reached:.2f}")
    results = {"raw_mb": size, "workers": given.workers, "compressor": given.compressor, "processes": rows}
    print_json("workers", {**results, "reached": reached}, "numpy", "pyarrow", "zstandard")


if __name__ == "__main__":
    main()
