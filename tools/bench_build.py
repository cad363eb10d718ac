"""How far is ``pcdata build`` from the bare limit?

The limit is the serial sum of the steps that a build cannot do without, each as a bare loop over the same documents in
the same process: read the files twice, hash them twice (BLAKE2b), encode, copy into Arrow and write, sync and hash what
was written (SHA-256). Build and limit are timed in turn; fitting is left out on both sides. One worker, warm cache.

    python tools/bench_build.py [FOLDER] [--repeats 5] [--compressor zstd --compressor bpe:vocab_size=16384]

Prints a table (MB/s of raw bytes, median and spread) and one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from pcdata.build.build import build
from pcdata.build.options import BuildOptions, library_versions
from pcdata.build.sources import Entry, find_entries
from pcdata.codecs.base import Artifact, Codec, codec_class, open_codec
from pcdata.codecs.requests import parse_requests
from pcdata.dataset import Dataset
from pcdata.dataset.schema import BASE_SCHEMA, BLOCK_RAW_BYTES, view_schema
from pcdata.dataset.shard import base_batch, view_batch


class Silent:
    """A reporter that says nothing."""

    @contextlib.contextmanager
    def stage(self, name: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def say(self, text: str) -> None:
        pass


def floor(paths: list[str], codec: Codec, folder: Path) -> dict[str, float]:
    """Seconds of each bare step."""
    seconds = dict.fromkeys(("read", "hash", "codec", "arrow", "sync", "checksum"), 0.0)

    @contextlib.contextmanager
    def timed(step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[step] += time.perf_counter() - began

    for _ in range(2):
        with timed("read"):
            documents = []
            for path in paths:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (the bare limit)
                    documents.append(file.read())
        with timed("hash"):
            ids = b"".join(hashlib.blake2b(raw, digest_size=16).digest() for raw in documents)
    base, view = folder / "base.arrow", folder / "view.arrow"
    with pa.OSFile(str(base), "wb") as base_file, pa.OSFile(str(view), "wb") as view_file:
        base_writer = pa.ipc.new_file(base_file, BASE_SCHEMA)
        view_writer = pa.ipc.new_file(view_file, view_schema(codec.types))
        for first, end in blocks([len(raw) for raw in documents]):
            block, block_ids, n = documents[first:end], ids[16 * first : 16 * end], end - first
            with timed("codec"):
                columns = codec.encode(block)
            with timed("arrow"):
                names = [os.fsencode(path) for path in paths[first:end]]
                base_writer.write_batch(
                    base_batch(block_ids, names, ["Python"] * n, ["x"] * n, [0] * n, [len(raw) for raw in block], block)
                )
                view_writer.write_batch(view_batch(block_ids, columns, codec.types))
        with timed("arrow"):
            base_writer.close()
            view_writer.close()
    for path in (base, view):
        with path.open("rb") as written:
            with timed("sync"):
                os.fsync(written.fileno())
            with timed("checksum"):
                hashlib.file_digest(written, "sha256")
    return seconds


def blocks(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of documents of about one record batch each."""
    first = held = 0
    for end, length in enumerate(lengths, start=1):
        held += length
        if held >= BLOCK_RAW_BYTES or end == len(lengths):
            yield first, end
            first, held = end, 0


def measure(corpus: Path, compressor: str, repeats: int, scratch: Path) -> dict[str, object]:
    """Time build and limit in turn."""
    (request,) = parse_requests([compressor])
    exclude = ("site-packages",)
    shape = {"include": ("*.py",), "exclude": exclude, "max_document_bytes": 1 << 30, "workers": 1}
    fitted = scratch / "fitted"
    build(BuildOptions((corpus,), fitted, (request,), **shape), Silent())  # type: ignore[arg-type]
    dataset = Dataset(fitted)
    codec = open_codec(dataset.manifest.views[0], fitted)
    handed = store_artifact(dataset, fitted, scratch / "artifact")
    found = find_entries(BuildOptions((corpus,), fitted, **shape))  # type: ignore[arg-type]
    paths = [str(corpus / os.fsdecode(entry.relative)) for entry in found if isinstance(entry, Entry)]
    raw_bytes = sum(os.path.getsize(path) for path in paths)  # noqa: PTH202
    cls = codec_class(request.codec)
    view = dataset.manifest.views[0]
    cls.choose_backends = classmethod(lambda *_: dict(view.backends))  # type: ignore[method-assign, assignment]
    if handed is not None:
        (request,) = parse_requests([f"{compressor}{',' if ':' in compressor else ':'}artifact={handed}"])
    builds, floors, steps = [], [], []
    for repeat in range(repeats + 1):  # the first is the warm-up
        output = scratch / "built"
        shutil.rmtree(output, ignore_errors=True)
        began = time.perf_counter()
        build(BuildOptions((corpus,), output, (request,), **shape), Silent())  # type: ignore[arg-type]
        seconds = time.perf_counter() - began
        bare = floor(paths, codec, scratch)
        if repeat:
            builds.append(seconds)
            floors.append(sum(bare.values()))
            steps.append(bare)
    ratios = [bare / built for bare, built in zip(floors, builds, strict=True)]
    return {
        "compressor": compressor,
        "raw_mb": raw_bytes / 1e6,
        "build_mb_s": raw_bytes / 1e6 / statistics.median(builds),
        "floor_mb_s": raw_bytes / 1e6 / statistics.median(floors),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "floor_ms_per_mb": {
            step: round(1e3 * statistics.median(one[step] for one in steps) / (raw_bytes / 1e6), 2) for step in steps[0]
        },
    }


def store_artifact(dataset: Dataset, folder: Path, target: Path) -> Path | None:
    """Copy the first view's artifact to where ``artifact=`` can name it."""
    artifact: Artifact = {
        Path(entry.path).name: (folder / entry.path).read_bytes() for entry in dataset.manifest.views[0].artifact
    }
    if not artifact:
        return None
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name, data in artifact.items():
        (target / name).write_bytes(data)
    return target / name if len(artifact) == 1 else target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("corpus", nargs="?", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compressor", action="append")
    arguments = parser.parse_args()
    results = []
    print(f"{'build with':<24} {'MB/s':>7} {'floor':>7} {'ratio':>6} {'(min … max)':>14}   floor, ms per MB")
    for compressor in arguments.compressor or ["zstd", "bpe:vocab_size=16384"]:
        with tempfile.TemporaryDirectory() as scratch:
            row = measure(arguments.corpus, compressor, arguments.repeats, Path(scratch))
        results.append(row)
        bare = "  ".join(f"{step} {value}" for step, value in row["floor_ms_per_mb"].items())  # type: ignore[attr-defined]
        print(
            f"{compressor:<24} {row['build_mb_s']:>7.1f} {row['floor_mb_s']:>7.1f} {row['ratio']:>6.2f} "
            f"({row['ratio_min']:.2f} … {row['ratio_max']:.2f})   {bare}"
        )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    print(
        json.dumps(
            {
                "bench": "build",
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "commit": commit.strip(),
                "versions": library_versions(),
                "results": results,
            }
        )
    )


if __name__ == "__main__":
    main()
