"""Corpora of benchmarks: this Python's standard library or another folder of Python files, in copies."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from pcdata.codecs.requests import parse_requests
from pcdata.dataset import Dataset, DatasetError
from pcdata.inputs.sources import Entry, find_entries
from tools.benching import parser_of
from tools.building import clear, options, rebuild

STDLIB = Path(sysconfig.get_path("stdlib"))
"""1,790 files, 31.5 MB; the same in every environment of this Python."""

VIEW = "bpe"
"""The view of ``dataset_of``."""

_SWAPPED = b"aeioulnrst"
_PAIRS = [bytes([a, b]) for a in _SWAPPED for b in _SWAPPED if a < b]

Vary = Callable[[int, bytes], bytes]
"""The number of a copy and a document → the document in that copy."""


def corpus_parser(doc: str | None, rounds: int, copies: int = 0) -> argparse.ArgumentParser:
    """As ``parser_of``, with the folder of Python files to measure on, and the number of its copies."""
    parser = parser_of(doc, rounds)
    parser.add_argument("corpus", nargs="?", type=Path, default=STDLIB, help="default: the standard library")
    if copies:
        parser.add_argument("--copies", type=int, default=copies, help=f"copies of the corpus; default: {copies}")
    return parser


def find_paths(corpus: Path) -> list[str]:
    """The files that a build of ``corpus`` reads, in its order."""
    found = find_entries(options(corpus, corpus / "unused").dataset.inputs)
    return [str(corpus / os.fsdecode(entry.relative)) for entry in found if isinstance(entry, Entry)]


def raw_mb(paths: list[str]) -> float:
    return sum(Path(path).stat().st_size for path in paths) / 1e6


def swapped(copy: int, raw: bytes) -> bytes:
    """Two letters are swapped, different ones in each copy: all documents differ, and so do most of their words."""
    pair = _PAIRS[copy % len(_PAIRS)]
    return raw.translate(bytes.maketrans(pair, pair[::-1])) + b"# %d\n" % copy


def headed(copy: int, raw: bytes) -> bytes:
    """Documents begin with a line that differs in each copy: the same text, but no duplicates."""
    return b"# copy %d\n" % copy + raw if copy else raw


def write_copies(corpus: Path, folder: Path, copies: int, vary: Vary = swapped) -> None:
    """Copies of the corpus, each in its own folder below ``folder``."""
    paths = find_paths(corpus)
    for copy in range(copies):
        for number, path in enumerate(paths):
            target = folder / f"{copy:03}" / f"{number // 100:03}" / f"{number:05}.py"
            if number % 100 == 0:
                target.parent.mkdir(parents=True)
            target.write_bytes(vary(copy, Path(path).read_bytes()))


def dataset_of(corpus: Path, copies: int = 1) -> Dataset:
    """A dataset of all documents in ``train``, uncut, with the view ``bpe``.

    Several ``copies`` do not fit into a processor's cache. The dataset is kept in the folder for temporary files for
    the next call with the same corpus: about 100 MB per copy of the standard library.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in find_paths(corpus):
        digest.update(Path(path).read_bytes())
    folder = Path(tempfile.gettempdir()) / f"pcdata-bench-{digest.hexdigest()}-x{copies}"
    with contextlib.suppress(DatasetError):
        return Dataset(folder)
    clear(folder)
    with tempfile.TemporaryDirectory() as scratch:
        write_copies(corpus, Path(scratch), copies, headed)
        rebuild(Path(scratch), folder, parse_requests([f"bpe:vocab_size=16384,name={VIEW}"]))
    return Dataset(folder)
