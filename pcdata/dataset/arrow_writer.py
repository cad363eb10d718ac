"""Write one Arrow file atomically: it is complete, or absent.

A file is written under a temporary name, synced, hashed, renamed, and its folder synced.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa

from pcdata.dataset.files import naming, replacing, sync, temporary_name
from pcdata.dataset.manifest import FileEntry
from pcdata.dataset.names import inside


class ArrowWriter:
    """Writes record batches of one schema into ``root/relative``; ``finish`` makes the file appear."""

    def __init__(self, root: Path, relative: str, shape: pa.Schema) -> None:
        self._root = root
        self._relative = relative
        path = inside(root, relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary_name(path)
        self._temporary.touch(exist_ok=False)
        self._sink = pa.OSFile(str(self._temporary), "wb")
        self._writer = pa.ipc.new_file(self._sink, shape)

    def write(self, batch: pa.RecordBatch) -> None:
        with naming(self._root / self._relative):
            self._writer.write_batch(batch)

    def finish(self) -> FileEntry:
        """Close, sync, hash, rename. The entry describes the file on disk."""
        with naming(self._root / self._relative):
            self._writer.close()
            self._sink.close()
        return commit_file(self._temporary, self._root, self._relative)

    def abandon(self) -> None:
        self._sink.close()
        self._temporary.unlink(missing_ok=True)


def commit_file(temporary: Path, root: Path, relative: str) -> FileEntry:
    """Sync, hash and rename a finished temporary file to ``root/relative``, then sync the folder."""
    path = inside(root, relative)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.fstat(file.fileno()).st_size
    temporary.replace(path)
    sync(path.parent)
    return FileEntry(relative, size, digest)


def write_file(root: Path, relative: str, data: bytes) -> FileEntry:
    """Write a small file whole, with the same guarantee as ``ArrowWriter``."""
    path = inside(root, relative)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
    sync(path.parent)
    return FileEntry(relative, len(data), hashlib.sha256(data).hexdigest())
