"""Write files into a folder that may be untrusted: atomically, and through no symbolic link.

A file is written under an unguessable temporary name, synced and renamed. The name ends in ``.tmp``; the next command
in the folder removes files with such names that a crash has left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pcdata.dataset.names import TEMPORARY
from pcdata.errors import DatasetError


def temporary_name(path: Path) -> Path:
    """A unique name beside ``path``, used by no other process, machine or attempt.

    Process ids are not enough: two machines that share the file system may use the same.
    """
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMPORARY}")


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Add ``path`` to an ``OSError`` that names no file, such as that of a full disk; and replace names under
    ``temporary``, which the user does not know, by those under ``path``."""
    try:
        yield
    except OSError as error:
        where = path
        if error.filename is not None:
            if temporary is None or not Path(os.fsdecode(error.filename)).is_relative_to(temporary):
                raise
            where = path / Path(os.fsdecode(error.filename)).relative_to(temporary)
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(where)) from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that replaces ``path`` if the block ends without an exception, and is removed otherwise.

    A symbolic link at ``path`` is replaced, not followed. The folder is not synced.
    """
    temporary = temporary_name(path)
    with naming(path, temporary), temporary.open("xb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def open_to_append(path: Path) -> BinaryIO:
    """Raises ``DatasetError`` unless it is a regular file."""
    return os.fdopen(_open_regular(path, os.O_WRONLY | os.O_APPEND), "ab")


def remove_temporary(folder: Path, names: str = "**/*") -> None:
    """Remove temporary files of processes that ended early: those whose path in the folder matches a glob; by default
    all, including those in subfolders."""
    for path in folder.glob(f"{names}{TEMPORARY}"):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


@contextmanager
def appearing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A new file or folder beside ``path``, which replaces it if the block ends without an exception, and is removed
    otherwise.

    For outputs that a user named, in a folder that we do not lock: what killed calls left beside ``path`` is removed
    first; a lock tells it apart from this one. An ``OSError`` that names no file, or the temporary one, names ``path``.
    """
    with _locked(path, folder, 0o777) as temporary, naming(path, temporary):
        yield temporary
        temporary.replace(path)


@contextmanager
def appearing_file(path: Path) -> Iterator[BinaryIO]:
    """The same for a file, opened and synced."""
    with appearing(path) as temporary, temporary.open("r+b") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of ours in the system's temporary folder, for the duration of the block. What killed calls left there is
    removed first."""
    with _locked(Path(tempfile.gettempdir(), "pcdata"), True, 0o700) as temporary:
        yield temporary


def remove_left_beside(path: Path) -> None:
    """Remove files and folders that killed processes left beside ``path``: those named by ``temporary_name``, and no
    others, since the folder may be anybody's; nor what a running process has locked, or we may not remove."""
    temporary = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{16}}{re.escape(TEMPORARY)}")
    for found in path.parent.iterdir() if path.parent.is_dir() else ():
        if temporary.fullmatch(found.name):
            with suppress(OSError):
                descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if os.fstat(descriptor).st_uid == os.geteuid():
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        remove(found)
                finally:
                    os.close(descriptor)


@contextmanager
def _locked(path: Path, folder: bool, mode: int) -> Iterator[Path]:
    """A new file or folder under a ``temporary_name``, locked to show that this process is running, and removed at the
    end. What ended processes have left there is removed first."""
    remove_left_beside(path)
    while True:
        temporary = temporary_name(path)
        with naming(path, temporary):
            if folder:
                temporary.mkdir(mode, parents=True)
            else:
                temporary.touch(mode & 0o666, exist_ok=False)
        try:
            descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # another process took it for a remainder
        try:
            if _lock_file(descriptor) and temporary.exists():
                try:
                    yield temporary
                finally:
                    remove(temporary)
                return
        finally:
            os.close(descriptor)


def _lock_file(descriptor: int) -> bool:
    """Whether the lock was free. On a file system without locks, others cannot lock the file to remove it either."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def remove(path: Path) -> None:
    """Remove a file, a folder, or a symbolic link itself; missing paths are ignored. If the process is killed, a folder
    that still has its name is complete."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path if path.name.endswith(TEMPORARY) else path.rename(temporary_name(path)))
    else:
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
        """Take the lock; the folder must exist. Raises ``BlockingIOError`` with the owner's name if it is taken, and
        ``DatasetError`` if the file is not a regular one."""
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
        with naming(path):
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
            self._file.flush()

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(self._file.read(200).strip() or "another process") from None

    def _is_there(self) -> bool:
        """Whether the locked file is still the one of this name."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.lstat())
        except FileNotFoundError:
            return False

    def close(self, *, remove: bool = False) -> None:
        """Free the lock; if ``remove``, after removing the file, while nobody else can have it."""
        if remove:
            self._path.unlink()
        self._file.close()


def _open_regular(path: Path, flags: int) -> int:
    """A descriptor of a regular file, opened without following links or waiting for the other end of a fifo."""
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
