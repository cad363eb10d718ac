"""Does the memory of ``pcdata build`` grow with the corpus, and how much of it does planning take per document?

Pieces of the standard library are written as JSONL files into a temporary folder, and built. Meanwhile RssAnon, the
memory that no file backs, is summed over all processes of the build, every 20 ms, from /proc. Then made-up digests of
documents are planned: in this stage alone, a single process sees every document.

    python -m tools.memory_build [--sizes 0.2 1 4] [--documents 1e6 4e6] [--compressor zstd …] [--workers N]

Needs about three times the largest size (in GB) in the folder for temporary files. Prints two tables and one JSON line.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.building.options import DatasetOptions
from pcdata.building.plan import make_plan
from pcdata.building.versions import library_versions
from pcdata.building.workspace import PIECE, Workspace
from pcdata.dataset.manifest import MANIFEST, load_manifest
from pcdata.machine import cores
from tools.benching import parser_of, print_json, print_table
from tools.corpora import STDLIB, find_paths
from tools.procfs import anonymous_mb

SAMPLE_SECONDS = 0.02
FILE_BYTES = 50_000_000
MEAN_DOCUMENT_BYTES = 6_000
TASK_DOCUMENTS = 4_800
"""Documents of 3.3 kB each: a scan task of 16 MB in a corpus of 3.3 TB and 10⁹ documents."""
DUPLICATES = 0.1
BUILDS = {
    "GB raw": "{raw_gb:.2f}",
    "documents": "{documents:,}",
    "shards": "{shards}",
    "seconds": "{seconds:.1f}",
    "all processes": "{all_mb:.0f}",
    "parent": "{parent_mb:.0f}",
}
PLANS = {
    "documents": "{documents:,}",
    "tasks": "{tasks:,}",
    "seconds": "{seconds:.1f}",
    "µs each": "{microseconds_per_document:.2f}",
    "MB": "{all_mb:.0f}",
    "digests, B": "{digest_bytes_per_document:.1f}",
    "plan, B": "{plan_bytes_per_document:.1f}",
}


@dataclass(frozen=True)
class Peaks:
    """Anonymous memory and time of some processes."""

    seconds: float
    all_mb: float
    """The process and its descendants together, at their peak."""
    parent_mb: float
    """The process alone, at its own peak."""


def watch(process: int, lives: Callable[[], bool]) -> Peaks:
    """Sample until the process has ended."""
    began = time.perf_counter()
    most = parent = 0.0
    while lives():
        sizes = []
        for one in tree(process):
            with contextlib.suppress(OSError):  # it has ended
                sizes.append(anonymous_mb(one))
        most, parent = max(most, sum(sizes)), max(parent, *sizes[:1], 0)
        time.sleep(SAMPLE_SECONDS)
    return Peaks(time.perf_counter() - began, most, parent)


def tree(process: int) -> list[int]:
    """A process and all below it, itself first."""
    found = [process]
    for one in found:  # grows during the loop
        with contextlib.suppress(OSError):  # it has ended
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def write_corpus(folder: Path, size: int) -> None:
    """About ``size`` raw bytes of documents: pieces of the standard library, all different."""
    random_ = random.Random(size)
    library = b"".join(Path(path).read_bytes() for path in find_paths(STDLIB)).decode(errors="ignore")
    written = 0
    while written < size:
        with (folder / f"part-{written // FILE_BYTES:05}.jsonl").open("w", encoding="utf-8") as file:
            end = min(written + FILE_BYTES, size)
            while written < end:
                begin, length = random_.randrange(len(library)), random_.randint(1, 2 * MEAN_DOCUMENT_BYTES)
                file.write(json.dumps({"text": f"# {written}\n{library[begin : begin + length]}"}) + "\n")
                written += length


def measure_build(size: int, compressors: list[str], workers: int, scratch: Path) -> dict[str, Any]:
    corpus, output = scratch / "corpus", scratch / "shards"
    corpus.mkdir()
    write_corpus(corpus, size)
    views = [part for compressor in compressors for part in ("--compressor", compressor)]
    arguments = ["build", str(corpus), "-o", str(output), "--format", "jsonl", "--val-fraction", "0", *views]
    process = subprocess.Popen([sys.executable, "-m", "pcdata.cli", *arguments, "--quiet", f"-j{workers}"])
    peaks = watch(process.pid, lambda: process.poll() is None)
    if process.returncode:
        sys.exit(f"the build ended with {process.returncode}")
    shards = load_manifest(output).base.shards
    return {
        "raw_gb": sum(shard.raw_bytes for shard in shards) / 1e9,
        "documents": sum(shard.documents for shard in shards),
        "shards": len(shards),
        "blocks": sum(len(shard.block_documents) for shard in shards),
        "manifest_kb": (output / MANIFEST).stat().st_size / 1e3,
        **asdict(peaks),
    }


def write_digests(state: Workspace, documents: int) -> int:
    """Write the results of scanning this many documents, a tenth of them duplicates; returns the number of tasks."""
    drawn = np.random.Generator(np.random.PCG64(documents))
    popular = drawn.integers(0, 1 << 63, (TASK_DOCUMENTS, 2), np.uint64)
    n_tasks = -(-documents // TASK_DOCUMENTS)
    for task in range(n_tasks):
        pieces = np.zeros(min(TASK_DOCUMENTS, documents - task * TASK_DOCUMENTS), PIECE)
        ids = drawn.integers(0, 1 << 63, (len(pieces), 2), np.uint64)
        again = drawn.random(len(pieces)) < DUPLICATES
        ids[again] = popular[: len(pieces)][again]
        pieces["document"] = pieces["part"] = ids
        pieces["task"] = task
        pieces["line"] = np.arange(1, len(pieces) + 1)
        pieces["offset"] = pieces["line"] * 3_400
        pieces["length"] = pieces["document_bytes"] = drawn.integers(300, 6_300, len(pieces))
        pieces["split_draw"], pieces["fit_draw"] = drawn.integers(0, 1 << 63, (2, len(pieces)), np.uint64) * np.uint64(
            2
        )
        state.write_json(f"inputs/{task:05}.json", [(0, f"part-{task:05}.jsonl", 16_000_000, "jsonl")])
        state.write(f"scan/{task:05}.rejects", b"")
        state.write(f"scan/{task:05}.digests", pieces.tobytes())
    return n_tasks


def plan_made_up(scratch: Path, n_tasks: int) -> None:
    """Runs in a child process."""
    make_plan(DatasetOptions.of([scratch]), Workspace(scratch), n_tasks)


def measure_plan(documents: int, scratch: Path) -> dict[str, Any]:
    state = Workspace(scratch)
    with state.locked():
        n_tasks = write_digests(state, documents)
        process = multiprocessing.get_context("spawn").Process(target=plan_made_up, args=(scratch, n_tasks))
        process.start()
        assert process.pid is not None
        peaks = watch(process.pid, process.is_alive)
    if process.exitcode:
        sys.exit(f"the planning ended with {process.exitcode}")
    sizes = {name: sum(path.stat().st_size for path in state.folder.glob(f"{name}/*")) for name in ("scan", "plan")}
    return {
        "documents": documents,
        "tasks": n_tasks,
        "digest_bytes_per_document": sizes["scan"] / documents,
        "plan_bytes_per_document": sizes["plan"] / documents,
        "microseconds_per_document": 1e6 * peaks.seconds / documents,
        **asdict(peaks),
    }


def measured(measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Measure in a separate temporary folder, which is removed before the next one fills the disk."""
    with tempfile.TemporaryDirectory(prefix="memory-build-") as scratch:
        return measure(Path(scratch))


def main() -> None:
    parser = parser_of(__doc__, rounds=0)
    parser.add_argument("--sizes", nargs="*", type=float, default=[0.2, 1, 4], help="GB of raw bytes")
    parser.add_argument("--documents", nargs="*", type=float, default=[1e6, 4e6], help="digests to plan")
    parser.add_argument("--compressor", action="append")
    parser.add_argument("--workers", type=int, default=cores())
    given = parser.parse_args()
    compressors, sizes = given.compressor or ["zstd"], [int(size * 1e9) for size in given.sizes]
    print(f"build with {', '.join(compressors)}, {given.workers} workers; peak of anonymous memory, MB")
    builds = [measured(partial(measure_build, size, compressors, given.workers)) for size in sizes]
    print_table(BUILDS, builds)
    print("\nplan; peak of anonymous memory, MB")
    plans = [measured(partial(measure_plan, int(documents))) for documents in given.documents]
    print_table(PLANS, plans)
    results = {"workers": given.workers, "compressors": compressors, "builds": builds, "plans": plans}
    print_json("memory of a build", results, *library_versions().keys() - {"pcdata", "python"})


if __name__ == "__main__":
    main()
