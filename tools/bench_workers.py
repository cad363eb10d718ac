"""What do more workers gain a build, beside what as many bare processes gain a codec?

The limit is what the machine gives: processes that do nothing but read and encode the same documents, in blocks as a
build does, one against several (their cores share caches and memory, so several are seldom several times as fast).
*Reached* is the gain of a build in parts of that, round by round. The corpus is varied copies of the standard library,
so many that starting processes, about a second, does not decide.

    python tools/bench_workers.py [--copies 16] [--workers 2] [--rounds 3] [--quick] [--compressor zstd]
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.pool import Pool
from pathlib import Path

from bench_build import blocks
from benching import Figure, in_turn, print_json, print_table, ratio
from building import STDLIB, Fitted, clear, find_paths, raw_mb, rebuild, write_copies

from pcdata.codecs.base import Codec, open_codec
from pcdata.dataset import Dataset

_codec: Codec
"""In a bare process."""


def start(folder: Path) -> None:
    global _codec
    _codec = open_codec(Dataset(folder).manifest.views[0], folder)


def read_and_encode(paths: list[str]) -> int:
    documents = []
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (the bare limit)
            documents.append(file.read())
    return len(_codec.encode(documents).symbols)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--copies", type=int, default=16, help="of 31.5 MB each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of two copies")
    parser.add_argument("--compressor", default="zstd")
    arguments = parser.parse_args()
    copies, rounds = (2, 1) if arguments.quick else (arguments.copies, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        measure(copies, rounds, arguments.workers, arguments.compressor, Path(folder))


def measure(copies: int, rounds: int, workers: int, compressor: str, scratch: Path) -> None:
    corpus, output = scratch / "corpus", scratch / "built"
    write_copies(STDLIB, corpus, copies)
    fitted = Fitted.on(corpus, [compressor], scratch)
    paths = find_paths(corpus)
    lengths = [Path(path).stat().st_size for path in paths]
    parts = [paths[first:end] for first, end in blocks(lengths)]
    spawn = multiprocessing.get_context("spawn")

    def bare(pool: Pool) -> Callable[[], object]:
        return lambda: pool.map(read_and_encode, parts, chunksize=1)

    with (
        spawn.Pool(1, start, (scratch / "fitted",)) as one,
        spawn.Pool(workers, start, (scratch / "fitted",)) as several,
    ):
        seconds = in_turn(
            {
                "build, 1": lambda: rebuild(corpus, output, fitted.requests),
                "clear": lambda: clear(output),
                "build, n": lambda: rebuild(corpus, output, fitted.requests, workers),
                "clear again": lambda: clear(output),
                "bare, 1": bare(one),
                "bare, n": bare(several),
            },
            rounds,
        )
    size = raw_mb(paths)
    speeds = {name: size / Figure.of(taken).median for name, taken in seconds.items() if "clear" not in name}
    gains = {name: ratio(seconds[f"{name}, 1"], seconds[f"{name}, n"]) for name in ("build", "bare")}
    reached = Figure.of(
        [
            (one / several) / (bare_one / bare_several)
            for one, several, bare_one, bare_several in zip(
                *(seconds[name] for name in ("build, 1", "build, n", "bare, 1", "bare, n")), strict=True
            )
        ]
    )
    rows = [[f"{compressor}, {size:.0f} MB", "1 process, MB/s", f"{workers}, MB/s", "gain"]]
    for name, what in (("build", "build"), ("bare", "read and encode")):
        one_speed, several_speed = speeds[f"{name}, 1"], speeds[f"{name}, n"]
        rows.append([what, f"{one_speed:.1f}", f"{several_speed:.1f}", f"{gains[name]:.2f}"])
    rows.append(["reached", "", "", f"{reached:.2f}"])
    print_table(rows)
    results = {"raw_mb": size, "workers": workers, "compressor": compressor, "mb_s": speeds}
    print_json("workers", {**results, "gains": gains, "reached": reached}, ("numpy", "pyarrow", "zstandard"))


if __name__ == "__main__":
    main()
