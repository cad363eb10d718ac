"""How close is ``pcdata build`` to the bare limit?

The limit is the serial sum of the steps that a build cannot do without, each as a bare loop over the same documents in
the same process: read the files twice, hash them twice (BLAKE2b), encode, copy into Arrow and write, then sync and hash
the output (SHA-256). Build and limit are timed in turn; fitting is left out on both sides. One worker, warm cache.

    python -m tools.bench_build [FOLDER] [--rounds 5] [--views zstd --views zstd,gzip …]

*MB/s* are of raw bytes. *Ratio* is the limit's time over the build's: 1 if nothing is lost, more where a build does two
things at once. *Input read* is how often the input was read: the process's bytes from ``read``, minus one reading of
its output.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pcdata.codecs.base import Codec
from pcdata.dataset.block import Block, Metadata, base_batch, view_batch
from pcdata.dataset.schema import BASE_SCHEMA, view_schema
from tools.benching import cost, in_turn, print_json, print_table, rate, ratio
from tools.building import USUAL_VIEWS, blocks, clear, fitted, read_bare, rebuild
from tools.corpora import corpus_parser, find_paths, raw_mb
from tools.procfs import counted

STEPS = ("read", "hash", "codec", "arrow", "sync", "checksum")
COLUMNS = {
    "build with": "{views}",
    "MB/s": "{build_mb_s:.1f}",
    "limit": "{limit_mb_s:.1f}",
    "ratio": "{ratio:.2f}",
    "input read": "{input_read:.2f} times",
    **{f"{step}, ms/MB": f"{{limit_ms_per_mb[{step}]:.2f}}" for step in STEPS},
}


class Limit:
    """The bare steps, and the seconds that each took in each call."""

    def __init__(self, paths: list[str], codecs: Sequence[Codec], folder: Path) -> None:
        self._paths = paths
        self._codecs = codecs
        self._files = [folder / f"bare-{number}.arrow" for number in range(1 + len(codecs))]
        self.seconds: list[dict[str, float]] = []

    def __call__(self) -> None:
        self.seconds.append(dict.fromkeys(STEPS, 0.0))
        for _ in range(2):
            with self._timed("read"):
                documents = read_bare(self._paths)
            with self._timed("hash"):
                ids = b"".join(hashlib.blake2b(raw, digest_size=16).digest() for raw in documents)
        self._write(documents, ids)
        for path in self._files:
            with path.open("rb") as written:
                with self._timed("sync"):
                    os.fsync(written.fileno())
                with self._timed("checksum"):
                    hashlib.file_digest(written, "sha256")

    def _write(self, documents: list[bytes], ids: bytes) -> None:
        schemas = [BASE_SCHEMA, *(view_schema(codec.types) for codec in self._codecs)]
        with contextlib.ExitStack() as stack:
            sinks = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in self._files]
            base, *views = [pa.ipc.new_file(sink, schema) for sink, schema in zip(sinks, schemas, strict=True)]
            for first, end in blocks([len(raw) for raw in documents]):
                block, block_ids, n = documents[first:end], ids[16 * first : 16 * end], end - first
                with self._timed("arrow"):
                    metadata = [Metadata(os.fsencode(path), "Python", "x") for path in self._paths[first:end]]
                    made = Block(block_ids, block, metadata, [0] * n, [len(raw) for raw in block])
                    base.write_batch(base_batch(made))
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
        self.seconds[-1][step] += time.perf_counter() - begun


def measure(corpus: Path, views: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, fitted(corpus, views.split(",")) as codecs:
        paths, output = find_paths(corpus), Path(scratch) / "built"
        build = partial(rebuild, corpus, output, codecs.requests)
        limit = Limit(paths, codecs.codecs, Path(scratch))
        seconds = in_turn({"build": build, "limit": limit}, rounds, before=partial(clear, output))
        clear(output)
        begun = counted("io", "rchar")
        build()
        read = counted("io", "rchar") - begun - sum(path.stat().st_size for path in output.rglob("*.arrow"))
    size = raw_mb(paths)
    steps = {step: cost(size, [taken[step] for taken in limit.seconds[1:]]) for step in STEPS}
    return {
        "views": views,
        "raw_mb": size,
        "build_mb_s": rate(size, seconds["build"]),
        "limit_mb_s": rate(size, seconds["limit"]),
        "ratio": ratio(seconds["limit"], seconds["build"]),
        "input_read": read / 1e6 / size,
        "limit_ms_per_mb": {step: each.median for step, each in steps.items()},
    }


def main() -> None:
    parser = corpus_parser(__doc__, rounds=5)
    parser.add_argument("--views", action="append", help="compressors of one build, with commas; may be repeated")
    given = parser.parse_args()
    results = [measure(given.corpus, views, given.rounds) for views in given.views or USUAL_VIEWS]
    print_table(COLUMNS, results)
    print_json("build", results, "numpy", "pyarrow", "zstandard", "gigatoken", "zlib-ng")


if __name__ == "__main__":
    main()
