"""The state of an unfinished command on disk: the folder ``.build`` in the output folder, and its lock.

::

    .build/lock            the process that owns the folder (flock; freed by the kernel when it ends)
    .build/options.json    the options of the command, and library versions
    .build/inputs/         00000.json …   entries of each scan task
    .build/scan/           00000.digests … and 00000.rejects …; 00000.lines … where tasks share a file
    .build/plan/           train-00000.pieces …, sample.pieces, plan.json
    .build/views.json      codecs after fitting: artifact files and hashes, backends
    .build/done/           train-00000.json …   one per shard whose files are complete

Each file appears whole, by rename, when its step is done; finished steps are not repeated.

The output may be on a file system shared by several machines. Files from other machines are found by listing their
folder, never by name before they exist: an NFS client may remember "no such file" for half a minute.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from pcdata.dataset.files import LockFile, remove_temporary, replacing, sync
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.manifest import MANIFEST, REJECTS
from pcdata.dataset.names import is_view_name
from pcdata.dataset.typed_json import typed
from pcdata.errors import BuildError, DatasetError
from pcdata.processes.kill_points import kill_point

STATE = ".build"
OPTIONS = "options.json"
ADDING = "add-view"
"""The key, in the options of an unfinished ``add-view``, of the views that it adds."""

_DISCARDING = "discarding"
"""The key in the options of a build that is being discarded: it cannot be resumed, and nothing starts before it is
gone."""

_SHARD = re.compile(r"(train|val)-[0-9]{5,}\.arrow")
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
"""The record of every piece: written by scan, and all that plan reads."""

Pieces = np.ndarray[Any, np.dtype[np.void]]


class Workspace:
    """The paths above, and reading and writing them."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / STATE
        self._removed = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the output folder. Raises ``BuildError`` naming the owner if another process does.

        A call that fails before it has written ``OPTIONS`` leaves the folder as it was.
        """
        was_there = self.output.exists()
        lock = self._lock()
        try:
            self._refuse_strange()
            if self._claims(_DISCARDING):
                self.discard()  # that call was killed before it was finished
            if not self.has(OPTIONS):
                self._clear()  # state of an unknown command
            self._make_folders()
            try:
                yield
            except BaseException:
                self.remove_rubbish()  # which may have filled the disk
                if not self.has(OPTIONS):
                    self.remove()
                raise
        finally:
            lock.close(remove=self._removed)
            if self._removed:
                with suppress(OSError):  # another process is already in it
                    self.folder.rmdir()  # only now, because NFS keeps the folder of an open file
                    if not was_there:
                        self.output.rmdir()

    def _lock(self) -> LockFile:
        """Take the lock, in a folder of a build or in a new one."""
        while True:
            if self.folder.is_symlink():
                raise BuildError(f"{self.folder} is a symbolic link, which is not followed; remove it")
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                names = {path.name for path in self.folder.iterdir()}
                if names and _LOCK not in names:
                    raise BuildError(
                        f"{self.folder} is not the state of a pcdata command; remove it or name a new folder"
                    )
                return LockFile(self.folder / _LOCK)
            except FileNotFoundError:
                continue  # its last owner has just removed the folder
            except BlockingIOError as error:
                raise BuildError(f"{self.output} is being built by {error}; wait for it or stop it") from None

    def _refuse_strange(self) -> None:
        """Commands leave only files and folders: other things may lead elsewhere, or never end."""
        for folder, folders, files in os.walk(self.folder):
            for path in (Path(folder, name) for name in (*folders, *files)):
                mode = path.lstat().st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    raise BuildError(f"{path} is not a file of a pcdata command; remove {self.folder}")

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def write(self, name: str, data: bytes) -> None:
        """Make a file appear whole. Its folder is not synced: after a power cut, lost steps are repeated.

        Its folder is not created either: a worker that was given up as lost must not restore the state of a build that
        ended without it.
        """
        with self.writing(name) as file:
            file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """The same for a file written piece by piece; it appears when the block ends without an exception."""
        with replacing(self.folder / name) as file:
            yield file

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write_json(self, name: str, value: Any) -> None:
        """Of plain values and dataclasses."""
        self.write(name, json.dumps(value, indent=1, default=asdict).encode())

    def read_json(self, name: str) -> Any:
        """Raises ``BuildError`` for a file that no command wrote."""
        try:
            return parse_json(self.read(name))
        except ValueError as error:
            raise self._damaged(name, error) from None

    def read_lines(self, name: str) -> Iterator[str]:
        """Lines of an ASCII file, one after another, without line ends."""
        with (self.folder / name).open(encoding="ascii") as file:
            yield from (line[:-1] for line in file)

    def read_pieces(self, name: str) -> Pieces:
        return np.frombuffer(self.read(name), PIECE)

    @property
    def claimed(self) -> dict[str, Any] | None:
        """The options of the unfinished command in this folder; None if there is none."""
        if not self.has(OPTIONS):
            return None
        found = self.read_json(OPTIONS)
        if not isinstance(found, dict):
            raise self._damaged(OPTIONS, "it is no object")
        return found

    def claim(self, asked: dict[str, Any]) -> None:
        """Record the command, so that no other command resumes it; and clean up after a killed one."""
        self.write_json(OPTIONS, asked)
        self.remove_rubbish()

    def _claims(self, key: str) -> bool:
        return key in (self.claimed or {})

    def discard(self) -> None:
        """Discard an unfinished build, here and in the output folder; files of others are kept.

        If this is killed, the next command in the folder completes it. Raises ``BuildError`` if there is a dataset, or
        if another command is unfinished.
        """
        if self.claimed is None:
            return
        if (self.output / MANIFEST).exists() or not self._claims("compressors"):
            raise BuildError(f"{self.output} holds no unfinished build to discard; name a new folder with -o")
        folders = self._build_folders()
        made = [path for folder in folders for path in folder.iterdir() if self._made_by_build(path)]
        self.write_json(OPTIONS, {**self.claimed, _DISCARDING: True})
        sync(self.folder)  # a power cut must not leave a step marked as done without its files
        kill_point("restart.claimed")
        for path in (*made, self.output / REJECTS):
            path.unlink(missing_ok=True)
            kill_point("restart.removed")
        self.remove_rubbish()
        for folder in folders:
            with suppress(OSError):  # it holds somebody else's file
                folder.rmdir()
        self._clear()
        kill_point("restart.cleared")
        self._make_folders()

    def _build_folders(self) -> list[Path]:
        """Folders that the unfinished build writes to, inner ones first; no links, nor anything below one."""
        views = [f"views/{name}" for name in self._views_in("compressors")]
        folders = [Path(name) for name in (*(f"{view}/artifact" for view in views), *views, "views", "base")]
        return [
            self.output / folder
            for folder in folders
            if (self.output / folder).is_dir()
            and not any((self.output / part).is_symlink() for part in (folder, *folder.parents[:-1]))
        ]

    def _made_by_build(self, path: Path) -> bool:
        """Whether a file in one of these folders belongs to a shard or an artifact."""
        in_artifact = path.relative_to(self.output).match("views/*/artifact/*")
        return path.is_file() and not path.is_symlink() and bool(in_artifact or _SHARD.fullmatch(path.name))

    @property
    def adding(self) -> list[str]:
        """The views that an unfinished ``add-view`` was adding; empty without such a command."""
        return self._views_in(ADDING)

    def _views_in(self, key: str) -> list[str]:
        """Names of views under an optional key in the options of the unfinished command."""
        try:
            names = [str(values["name"]) for values in (self.claimed or {}).get(key, [])]
        except (AttributeError, KeyError, TypeError):
            raise self._damaged(OPTIONS, f"{key} is no list of views") from None
        for name in names:
            if not is_view_name(name):
                raise self._damaged(OPTIONS, f"it has a view {name!r}, which is no name")
        return names

    @property
    def done_shards(self) -> set[str]:
        """The names of the shards whose files are complete."""
        return {Path(name).stem for name in self.names("done/*.json")}

    def mark_done(self, shard: str, written: Any) -> None:
        """Record that a shard's files are complete, and what was written: a dataclass, or a dictionary of them."""
        self.write_json(f"done/{shard}.json", written)
        kill_point("write.done")

    def done(self, shard: str, kind: Any) -> Any:
        """The argument of ``mark_done``, as a ``kind``. Raises ``BuildError`` for a file that no command wrote."""
        return self.read_typed(f"done/{shard}.json", kind)

    def read_typed(self, name: str, kind: Any) -> Any:
        """A JSON file as a ``kind``, made of dataclasses. Raises ``BuildError`` for a file that no command wrote."""
        try:
            return typed(kind, self.read_json(name))
        except DatasetError as error:
            raise self._damaged(name, error) from None

    def _damaged(self, name: str, what: object) -> BuildError:
        return BuildError(f"{self.folder / name} is damaged ({what}); remove {self.folder}")

    def names(self, pattern: str) -> list[str]:
        """The existing files of a step, sorted."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(pattern))

    def remove_rubbish(self) -> None:
        """Remove files with temporary names, left by processes that were killed or stopped."""
        remove_temporary(self.output)

    def remove(self) -> None:
        """Remove the state of a finished build. The lock and its folder are removed when it is released."""
        self._clear()
        self._removed = True

    def _make_folders(self) -> None:
        for name in _FOLDERS:
            (self.folder / name).mkdir(exist_ok=True)

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
