"""What the benchmarks of building share: the corpus, options for it, codecs that are fitted once, varied copies."""

from __future__ import annotations

import os
import resource
import shutil
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdata.building.build import build
from pcdata.building.options import BuildOptions
from pcdata.building.progress import Silent
from pcdata.building.sources import Entry, find_entries
from pcdata.codecs.base import Artifact, Codec, codec_class, open_codec
from pcdata.codecs.requests import ViewRequest, parse_requests
from pcdata.dataset import Dataset

STDLIB = Path(sysconfig.get_path("stdlib"))
"""Python's standard library: 1,790 files, 31.5 MB, in every environment the same as that of its Python."""

FOUR_VIEWS = ("zstd", "bpe:vocab_size=16384", "gzip", "ngram")
"""The codecs that are used most, by their requests."""

_SWAPPED = b"aeioulnrst"


def options(
    corpus: Path | tuple[Path, ...], output: Path, requests: Sequence[ViewRequest], workers: int = 1
) -> BuildOptions:
    """A build of all Python files below a folder, or several, each whole."""
    return BuildOptions(
        corpus if isinstance(corpus, tuple) else (corpus,),
        output,
        tuple(requests),
        include=("*.py",),
        exclude=("site-packages",),
        max_document_bytes=1 << 30,
        workers=workers,
    )


def rebuild(corpus: Path | tuple[Path, ...], output: Path, requests: Sequence[ViewRequest], workers: int = 1) -> None:
    """Build into a folder that ``clear`` has made room for."""
    build(options(corpus, output, requests, workers), Silent())


def clear(output: Path) -> None:
    """Remove a dataset. Not part of what is timed: freeing the page cache of one takes as long as writing it."""
    shutil.rmtree(output, ignore_errors=True)


def find_paths(corpus: Path) -> list[str]:
    """The files that a build of ``corpus`` reads, in its order."""
    found = find_entries(options(corpus, corpus / "unused", ()))
    return [str(corpus / os.fsdecode(entry.relative)) for entry in found if isinstance(entry, Entry)]


def raw_mb(paths: Sequence[str]) -> float:
    """Megabytes in some files."""
    return sum(os.stat(path).st_size for path in paths) / 1e6  # noqa: PTH116 (strings: the bare limit opens them too)


@dataclass(frozen=True)
class Fitted:
    """Codecs that a build of the corpus has fitted, so that what is timed need not fit them again."""

    requests: tuple[ViewRequest, ...]
    """The same views from the artifacts that are there."""
    codecs: tuple[Codec, ...]

    @classmethod
    def on(cls, corpus: Path, compressors: Sequence[str], scratch: Path) -> Fitted:
        """Build once; ``scratch`` must outlive what is returned."""
        folder = scratch / "fitted"
        clear(folder)
        rebuild(corpus, folder, parse_requests(compressors))
        dataset = Dataset(folder)
        requests = []
        for view, compressor in zip(dataset.manifest.views, compressors, strict=True):
            _choose_no_more(view.codec, dict(view.backends))
            artifact: Artifact = {Path(entry.path).name: (folder / entry.path).read_bytes() for entry in view.artifact}
            stored = _store(artifact, scratch / "artifacts" / view.name)
            joint = "," if ":" in compressor else ":"
            requests += parse_requests([f"{compressor}{joint}artifact={stored}" if artifact else compressor])
        return cls(tuple(requests), tuple(open_codec(view, folder) for view in dataset.manifest.views))


def _choose_no_more(codec: str, backends: dict[str, str]) -> None:
    """``bpe`` compares its engines on a sample, for a second, before each build: part of fitting."""
    codec_class(codec).choose_backends = classmethod(lambda *_: backends)  # type: ignore[method-assign, assignment]


def _store(artifact: Artifact, target: Path) -> Path:
    """Put an artifact where ``artifact=`` can name it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, data in artifact.items():
        (target / name).write_bytes(data)
    return target / next(iter(artifact)) if len(artifact) == 1 else target


def write_copies(corpus: Path, folder: Path, copies: int) -> None:
    """The corpus so many times, each in a folder of its own below ``folder``, with two other letters of every file
    swapped: no two documents are the same, nor are most of their words."""
    paths = find_paths(corpus)
    pairs = [(a, b) for a in _SWAPPED for b in _SWAPPED if a < b]
    for copy in range(copies):
        a, b = pairs[copy % len(pairs)]
        swapped = bytes.maketrans(bytes([a, b]), bytes([b, a]))
        for number, path in enumerate(paths):
            target = folder / f"{copy:03}" / f"{number // 100:03}" / f"{number:05}.py"
            if number % 100 == 0:
                target.parent.mkdir(parents=True)
            target.write_bytes(Path(path).read_bytes().translate(swapped) + b"# %d\n" % copy)


def processor_seconds() -> float:
    """Of this process, its threads, and its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
