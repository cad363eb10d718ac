"""Writing files into a folder that may be a stranger's: made anew, whole or not at all, through no symbolic link.

A file is written under a temporary name that nobody can foresee, synced and renamed. The name ends in ``.tmp``; what
carries it after a crash is rubbish, which the next command in the folder removes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pcdata.dataset.names import TEMPORARY
from pcdata.errors import DatasetError


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that nobody else writes to: no other process or machine, no other try at the same task.

    Process numbers would not do: two machines that share the file system may have the same.
    """
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMPORARY}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an ``OSError`` that names no file, as of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` if the block ends well, and is removed if it does not.

    A symbolic link at ``path`` is replaced, not followed. The folder is not synced.
    """
    temporary = temporary_name(path)
    with naming(path), temporary.open("xb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``, which is removed when the block ends, unless it was renamed.

    What a killed process left of an earlier one for this path is removed too: a folder in use is locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    folder, lock = _locked_folder(path)
    try:
        yield folder
    finally:
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
        finally:
            os.close(lock)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """With the descriptor that holds the lock. Where the file system has no locks for folders there is none, and
    nothing is ever taken for abandoned."""
    while True:
        folder = temporary_name(path)
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process takes it for abandoned, and removes it
            os.close(descriptor)
            continue
        except OSError:
            pass
        if folder.is_dir():
            return folder, descriptor
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Only folders of this user: in a folder for everybody's temporary files others may have made one of this name."""
    mark = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{16}}{re.escape(TEMPORARY)}")
    for folder in [each for each in path.parent.iterdir() if mark.fullmatch(each.name)]:
        with suppress(OSError):  # in use, a link, gone meanwhile, or no folder
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def open_to_append(path: Path) -> BinaryIO:
    """Raises ``DatasetError`` for what is no regular file."""
    return os.fdopen(_open_regular(path, os.O_WRONLY | os.O_APPEND), "ab")


def remove_temporary(folder: Path, names: str = "**/*") -> None:
    """Remove the temporary files of processes that ended before they were done: of files whose paths in the folder
    match a glob; without one of all, also in the folders below."""
    for path in folder.glob(f"{names}{TEMPORARY}"):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make what was written to a file, or renamed in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LockFile:
    """A lock on a folder: a file that names its owner, whose lock the kernel frees when the owner ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock; the folder must be there. Raises ``BlockingIOError`` with the owner's name if it is taken, and
        ``DatasetError`` if the file is no regular one."""
        self._path = path
        while True:
            self._file = os.fdopen(_open_regular(path, os.O_RDWR | os.O_CREAT), "r+", errors="replace")
            try:
                self._take()
                if self._is_there():
                    break
            except BaseException:
                self._file.close()
                raise
            self._file.close()  # its last owner has removed it
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        self._file.flush()

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(self._file.read(200).strip() or "another process") from None

    def _is_there(self) -> bool:
        """Whether the file that is locked is still the one of this name."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.lstat())
        except FileNotFoundError:
            return False

    def close(self, *, remove: bool = False) -> None:
        """Free the lock; if ``remove``, without leaving the file, and while nobody else can have it."""
        if remove:
            self._path.unlink()
        self._file.close()


def _open_regular(path: Path, flags: int) -> int:
    """A descriptor of a regular file, opened without following a link or waiting for a fifo's other end."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise DatasetError(f"{path} is not a regular file; remove it") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DatasetError(f"{path} is not a regular file; remove it")
    return descriptor
