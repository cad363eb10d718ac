"""Verify data before training: before its first step, a run compares each file that it will read with the manifest.

The run folder remembers the files that passed, so a resumed run rehashes only those that were changed or moved since.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from pcdata.dataset import Dataset, DatasetError
from pcdata.dataset.files import replacing
from pcdata.dataset.hashing import file_fault
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.manifest import FileEntry
from pcdata.dataset.names import regular_file
from pcdata.machine import cores
from pctrain.training.distributed import World
from pctrain.training.progress import ByteProgress
from pctrain.training.run_folder import VERIFIED

_VERSION: Final = 1
_MOST_THREADS: Final = 16


class Seal(NamedTuple):
    """The state of a file when its hash was right; while the state is the same, so is the hash."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    """Of the last change, which ``touch`` cannot set."""
    inode: int
    sha256: str


@dataclass(frozen=True)
class Listed:
    """A file that a run reads."""

    folder: Path
    """Its dataset's."""
    entry: FileEntry

    @property
    def path(self) -> str:
        """Its absolute path."""
        return os.path.realpath(self.folder / self.entry.path)

    def seal(self) -> Seal | None:
        """Its state now; None if it does not exist."""
        try:
            found = (self.folder / self.entry.path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Seal(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, self.entry.sha256)


def files_read(datasets: Mapping[str, Dataset], views: Sequence[str]) -> list[Listed]:
    """All files that a run reads: the documents of both splits, and these views of train."""
    files = []
    for dataset in datasets.values():
        manifest = dataset.manifest
        entries = [shard.file for shard in manifest.base.shards]
        entries += [shard.file for name in views for shard in manifest.view(name).splits["train"]]
        files += [Listed(dataset.folder, entry) for entry in entries]
    return files


def verified(files: Sequence[Listed], known: Mapping[str, Seal], world: World, *, quiet: bool) -> dict[str, Seal]:
    """The seals of all files; files with the ``known`` seal are not read. All processes must call this.

    Raises ``DatasetError`` in each of them if any file is not what its manifest says.
    """
    results = world.divided(files, lambda share: [*_compared(share, known, world, quiet)])
    faults = [(path, result) for path, result in results if isinstance(result, str)]
    for path, what in faults:
        more = f" (and {len(faults) - 1:,} files more; pcdata verify --quick names them)" if len(faults) > 1 else ""
        raise DatasetError(f"{path} is not what the manifest says: {what}; restore it or rebuild the dataset{more}")
    return {path: result for path, result in results if isinstance(result, Seal)}


def _compared(
    files: Sequence[Listed], known: Mapping[str, Seal], world: World, quiet: bool
) -> Iterator[tuple[str, Seal | str]]:
    """Each file's path, with its seal or what is wrong with it."""
    seals = {one.path: one.seal() for one in files}
    new = [one for one in files if (seal := seals[one.path]) is None or known.get(one.path) != seal]
    yield from ((path, seal) for path, seal in seals.items() if seal is not None and known.get(path) == seal)
    if not new:
        return
    share = f", process 1 of {world.size}" if world.size > 1 else ""
    threads = min(_MOST_THREADS, max(1, cores() // world.per_machine))
    with (
        ByteProgress(f"verifying the data{share}", sum(one.entry.bytes for one in new), quiet) as progress,
        _Hashing(progress, threads) as hashing,
    ):
        for one, what in zip(new, hashing.faults(new), strict=True):
            # The seal is taken before hashing: a file changed meanwhile has another one.
            yield one.path, what or seals[one.path] or "it is missing"


class _Hashing(AbstractContextManager["_Hashing"]):
    """Threads that hash files, until they are done or the block is left."""

    def __init__(self, progress: ByteProgress, threads: int) -> None:
        self._progress, self._lock, self._left = progress, threading.Lock(), False
        self._pool = ThreadPoolExecutor(threads)

    def faults(self, files: Sequence[Listed]) -> Iterator[str | None]:
        """What is wrong with each, in order."""
        return self._pool.map(lambda one: file_fault(one.folder, one.entry, self._advance), files)

    def _advance(self, n_bytes: int) -> None:
        if self._left:
            raise InterruptedError  # nobody waits for the result
        with self._lock:
            self._progress.update(n_bytes)

    def __exit__(self, *_: object) -> None:
        self._left = True
        self._pool.shutdown(cancel_futures=True)


def read_verified(run: Path) -> dict[str, Seal]:
    """The remembered seals by path; none if they cannot be read, since they only save time."""
    try:
        values: Any = parse_json(regular_file(run, VERIFIED).read_bytes())
        if values["version"] != _VERSION:
            return {}
        return {path: Seal(*seal) for path, seal in values["files"].items()}
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_verified(run: Path, seals: Mapping[str, Seal]) -> None:
    """Store the seals in the run folder."""
    with replacing(run / VERIFIED) as file:
        file.write(rendered_json({"version": _VERSION, "files": seals}))
