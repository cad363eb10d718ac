"""Check that a file is what the manifest says: its place, its size, its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pcdata.dataset.manifest import FileEntry
from pcdata.dataset.names import inside, regular_file
from pcdata.errors import DatasetError

_CHUNK: Final = 1 << 20


def file_fault(folder: Path, entry: FileEntry, advance: Callable[[int], object] = lambda _: None) -> str | None:
    """A sentence about what is wrong with one file of a dataset; None if nothing is.

    The whole file is read, a piece at a time; ``advance`` gets the size of each. Hashing releases the interpreter's
    lock, so threads make it faster. Raises ``OSError`` if the machine refuses to read the file.
    """
    try:
        path = inside(folder, entry.path)
    except DatasetError as error:
        return f"it is not read: {error}"
    if not path.is_file():
        return "it is missing" if not path.exists() else "it is not a file"
    found = path.stat().st_size
    if found != entry.bytes:
        return f"it has {found:,} bytes, the manifest says {entry.bytes:,}"
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return None if digest.hexdigest() == entry.sha256 else "it is damaged: its SHA-256 is not the manifest's"


def require_sound(folder: Path, entry: FileEntry) -> Path:
    """The file's path. Raises ``DatasetError`` unless the file is what its entry says, so that damage is not copied."""
    try:
        path = regular_file(folder, entry.path)
        fault = file_fault(folder, entry)
    except (FileNotFoundError, NotADirectoryError):
        fault = "it is missing"
    if fault is None:
        return path
    raise DatasetError(f"{folder / entry.path} {fault.removeprefix('it ')}; restore it from a copy or rebuild")
