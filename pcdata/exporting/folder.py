"""A folder of files: each document at ``SOURCE/PATH`` below it, whatever that path is.

Paths are untrusted. None leads out of the folder, none overwrites another, and each is valid on any file system.
Documents whose path cannot stay are renamed, with the beginning of their id in the name, and counted.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from pcdata.dataset.files import naming
from pcdata.exporting.whole import Whole, Writer

_NAME_BYTES: Final = 200
"""Longer names are cut: file systems allow 255 bytes, and an id may have to fit in."""

_PATH_BYTES: Final = 2_000
"""Longer paths lose their folders: kernels allow 4,096 bytes, including the folder that the path is in."""

_ID_DIGITS: Final = 8


class FolderWriter(Writer):
    """Writes into ``root``, an existing empty folder. Memory: the names of folders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[bytes, Path] = {b"": root}

    def add(self, document: Whole) -> bool:
        first = document.first
        wanted = os.path.join(first.source.encode(), first.path.lstrip(b"/"))  # noqa: PTH118 (a path of bytes)
        name = safe_path(wanted, first.doc_id)
        file, path = self._opened(name, first.doc_id)
        self.renamed += path != self._root / os.fsdecode(wanted)
        with naming(path), file:
            for chunk in document.chunks():
                file.write(chunk)
        return True

    def _opened(self, name: bytes, doc_id: str) -> tuple[BinaryIO, Path]:
        """Create a file, under this name if it is free: some file systems do not distinguish case."""
        folder, _, last = name.rpartition(b"/")
        for attempt in count():
            path = self._folder(folder) / os.fsdecode(last if not attempt else _marked(last, doc_id, attempt))
            with suppress(FileExistsError):
                return path.open("xb"), path
        raise AssertionError

    def _folder(self, name: bytes) -> Path:
        """Create a folder and its parents. If a file has the name of one, that is named NAME~."""
        made = self._folders.get(name)
        if made is None:
            above, _, last = name.rpartition(b"/")
            made = self._folder(above) / os.fsdecode(last)
            while made.is_file():
                made = made.with_name(f"{made.name}~")
            made.mkdir(exist_ok=True)
            self._folders[name] = made
        return made


def safe_path(path: bytes, doc_id: str) -> bytes:
    """A relative path that stays below its start and is valid on any file system; unchanged if it is one already.

    ``..`` and NUL are percent-encoded, long names cut, and empty ones left out.
    """
    names = [_safe_name(name, doc_id) for name in path.split(b"/") if name not in (b"", b".")]
    if not names or path.endswith((b"/", b"/.")):
        names.append(doc_id.encode())
    safe = b"/".join(names)
    return safe if len(safe) <= _PATH_BYTES else _marked(names[-1], doc_id, 1)


def _safe_name(name: bytes, doc_id: str) -> bytes:
    if name == b"..":
        return b"%2E%2E"
    name = name.replace(b"\0", b"%00")
    return name if len(name) <= _NAME_BYTES else _marked(name, doc_id, 1)


def _marked(name: bytes, doc_id: str, attempt: int) -> bytes:
    """The name with the beginning of an id before its ending, cut to fit."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 (a path of bytes)
    ending = ending if len(ending) <= 20 else b""
    mark = f"~{doc_id[:_ID_DIGITS]}{f'~{attempt}' if attempt > 1 else ''}".encode()
    return stem[: _NAME_BYTES - len(mark) - len(ending)] + mark + ending
