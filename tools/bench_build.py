"""How far is ``pcdata build`` from the bare limit?

The limit is the serial sum of the steps that a build cannot do without, each as a bare loop over the same documents in
the same process: read the files twice, hash them twice (BLAKE2b), encode, copy into Arrow and write, sync and hash what
was written (SHA-256). Build and limit are timed in turn; fitting is left out on both sides. One worker, warm cache.

    python tools/bench_build.py [FOLDER] [--rounds 5] [--quick] [--views zstd --views zstd,gzip …]

*MB/s* are of raw bytes; *ratio*, of the limit's time to the build's, is 1 where nothing is lost, and more where a build
does two things at once. *Input read* is how often: what the process read by ``read``, less one reading of its output.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from benching import Figure, in_turn, print_json, print_table, ratio
from building import FOUR_VIEWS, STDLIB, Fitted, clear, find_paths, raw_mb, rebuild

from pcdata.codecs.base import Codec
from pcdata.dataset.schema import BASE_SCHEMA, BLOCK_RAW_BYTES, view_schema
from pcdata.dataset.shard import base_batch, view_batch

STEPS = ("read", "hash", "codec", "arrow", "sync", "checksum")


class Floor:
    """The bare steps, and the seconds that each took in each call."""

    def __init__(self, paths: list[str], codecs: Sequence[Codec], folder: Path) -> None:
        self._paths = paths
        self._codecs = codecs
        self._files = [folder / f"bare-{number}.arrow" for number in range(1 + len(codecs))]
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def __call__(self) -> None:
        self._taken = dict.fromkeys(STEPS, 0.0)
        for _ in range(2):
            documents = self._read()
            with self._timed("hash"):
                ids = b"".join(hashlib.blake2b(raw, digest_size=16).digest() for raw in documents)
        self._write(documents, ids)
        for path in self._files:
            with path.open("rb") as written:
                with self._timed("sync"):
                    os.fsync(written.fileno())
                with self._timed("checksum"):
                    hashlib.file_digest(written, "sha256")
        for step, taken in self._taken.items():
            self.seconds[step].append(taken)

    def _read(self) -> list[bytes]:
        documents = []
        with self._timed("read"):
            for path in self._paths:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (the bare limit)
                    documents.append(file.read())
        return documents

    def _write(self, documents: list[bytes], ids: bytes) -> None:
        schemas = [BASE_SCHEMA, *(view_schema(codec.types) for codec in self._codecs)]
        with contextlib.ExitStack() as stack:
            sinks = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in self._files]
            base, *views = [pa.ipc.new_file(sink, schema) for sink, schema in zip(sinks, schemas, strict=True)]
            for first, end in blocks([len(raw) for raw in documents]):
                block, block_ids, n = documents[first:end], ids[16 * first : 16 * end], end - first
                with self._timed("arrow"):
                    names = [os.fsencode(path) for path in self._paths[first:end]]
                    lengths = [len(raw) for raw in block]
                    base.write_batch(base_batch(block_ids, names, ["Python"] * n, ["x"] * n, [0] * n, lengths, block))
                for writer, codec in zip(views, self._codecs, strict=True):
                    with self._timed("codec"):
                        columns = codec.encode(block)
                    with self._timed("arrow"):
                        writer.write_batch(view_batch(block_ids, columns, codec.types))
            with self._timed("arrow"):
                for writer in (base, *views):
                    writer.close()

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._taken[step] += time.perf_counter() - begun


def blocks(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of documents of about one record batch each."""
    first = held = 0
    for end, length in enumerate(lengths, start=1):
        held += length
        if held >= BLOCK_RAW_BYTES or end == len(lengths):
            yield first, end
            first, held = end, 0


def bytes_read() -> int:
    """By this process so far, from files and the page cache; what is mapped does not count."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/io has no rchar")


def measure(corpus: Path, views: Sequence[str], rounds: int, scratch: Path) -> dict[str, Any]:
    """Build and limit in turn."""
    fitted = Fitted.on(corpus, views, scratch)
    paths = find_paths(corpus)
    size = raw_mb(paths)
    output = scratch / "built"
    floor = Floor(paths, fitted.codecs, scratch)
    seconds = in_turn(
        {
            "build": lambda: rebuild(corpus, output, fitted.requests),
            "clear": lambda: clear(output),
            "floor": floor,
        },
        rounds,
    )
    begun = bytes_read()
    rebuild(corpus, output, fitted.requests)
    read = bytes_read() - begun - sum(path.stat().st_size for path in output.rglob("*.arrow"))
    steps = {step: Figure.of(taken[1:]).median for step, taken in floor.seconds.items()}
    return {
        "views": list(views),
        "raw_mb": size,
        "build_mb_s": size / Figure.of(seconds["build"]).median,
        "floor_mb_s": size / Figure.of(seconds["floor"]).median,
        "ratio": ratio(seconds["floor"], seconds["build"]),
        "input_read": read / 1e6 / size,
        "floor_ms_per_mb": {step: 1e3 * taken / size for step, taken in steps.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("corpus", nargs="?", type=Path, default=STDLIB)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, and not all four views")
    parser.add_argument("--views", action="append", help="compressors of one build, with commas; may be repeated")
    arguments = parser.parse_args()
    asked = arguments.views or ["zstd", "bpe:vocab_size=16384", *([] if arguments.quick else [",".join(FOUR_VIEWS)])]
    results, rows = [], [["build with", "MB/s", "limit", "ratio", "input read", *(f"{step}, ms/MB" for step in STEPS)]]
    for views in asked:
        with tempfile.TemporaryDirectory() as scratch:
            row = measure(arguments.corpus, views.split(","), 1 if arguments.quick else arguments.rounds, Path(scratch))
        results.append(row)
        steps = [f"{row['floor_ms_per_mb'][step]:.2f}" for step in STEPS]
        figures = [f"{row['build_mb_s']:.1f}", f"{row['floor_mb_s']:.1f}", f"{row['ratio']:.2f}"]
        rows.append([views, *figures, f"{row['input_read']:.2f} times", *steps])
    print_table(rows)
    print_json("build", results, ("numpy", "pyarrow", "zstandard", "gigatoken", "zlib-ng"))


if __name__ == "__main__":
    main()
