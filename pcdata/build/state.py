"""What an unfinished build has on disk: the folder ``.build`` in the output folder, and its lock.

::

    .build/lock            the process that owns the folder (flock; freed by the kernel when it ends)
    .build/options.json    what the build was asked to do, and library versions
    .build/inputs/         00000.json …   entries of each scan task
    .build/scan/           00000.digests … and 00000.rejects …; 00000.lines … where tasks share a file
    .build/plan/           train-00000.pieces …, sample.pieces, plan.json
    .build/views.json      codecs after fitting: artifact files and hashes, backends
    .build/done/           train-00000.json …   one per shard whose files are complete

Each file appears whole, by rename, when its step is done; a step whose file is there is not done again.

The output may lie on a file system that several machines share. What other machines make is looked for by listing its
folder, never by name before it is there: an NFS client may believe for half a minute in a "no such file" that it saw.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from pcdata.dataset.shard import TEMPORARY, naming, temporary_name
from pcdata.errors import BuildError

STATE = ".build"

_LOCK = "lock"
_FOLDERS = ("inputs", "scan", "plan", "done")

PIECE = np.dtype(
    [
        ("document", "<u8", (2,)),  # doc_id of the whole document
        ("part", "<u8", (2,)),  # doc_id of this part of it; the same if it was not cut
        ("task", "<u4"),
        ("entry", "<u4"),
        ("line", "<u8"),
        ("offset", "<u8"),
        ("start", "<u8"),
        ("length", "<u8"),
        ("document_bytes", "<u8"),
        ("split_draw", "<u8"),
        ("fit_draw", "<u8"),
    ]
)
"""What scan writes down of every piece, and all that plan looks at."""

Pieces = np.ndarray[Any, np.dtype[np.void]]


class BuildState:
    """The paths above, and reading and writing them."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / STATE
        self._removed = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the output folder. Raises ``BuildError`` naming the owner if somebody else does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _LOCK
        try:
            with path.open("a+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.seek(0)
                    owner = lock.read().strip() or "another process"
                    raise BuildError(f"{self.output} is being built by {owner}; wait for it or stop it") from None
                lock.truncate(0)
                lock.write(f"process {os.getpid()} on {os.uname().nodename}\n")
                lock.flush()
                for name in _FOLDERS:
                    (self.folder / name).mkdir(exist_ok=True)
                try:
                    yield
                except BaseException:
                    self.remove_rubbish()  # it may be what fills the disk
                    raise
        finally:
            if self._removed:
                path.unlink()
                self.folder.rmdir()

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def write(self, name: str, data: bytes) -> None:
        """Make a file appear whole. Its folder is not synced: a step that a power cut forgets is done again.

        Its folder is not made either: a worker that was given up for lost must not bring back the state of a build
        that ended without it.
        """
        with self.writing(name) as file:
            file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """The same for a file that is written bit by bit: it appears when the block ends well."""
        path = self.folder / name
        temporary = temporary_name(path)
        with naming(path), temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=1).encode())

    def read_json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def read_pieces(self, name: str) -> Pieces:
        return np.frombuffer(self.read(name), PIECE)

    def names(self, pattern: str) -> list[str]:
        """The files of a step that are there, in order."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(pattern))

    def remove_rubbish(self) -> None:
        """Remove what lies under temporary names: of a process that was killed, or stopped in the middle."""
        for path in self.output.rglob(f"*{TEMPORARY}"):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the state of a finished build. The lock goes when it is let go of: NFS keeps an open file's folder."""
        for name in _FOLDERS:
            shutil.rmtree(self.folder / name)
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        self._removed = True
