"""Finding the input: which files there are, in an order that does not depend on the file system.

Folders are walked depth first, names sorted as bytes. Nothing is opened here. What is passed over (by a glob, a
symlink, a fifo, an unreadable folder) becomes a ``Skipped``, so that it is counted.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pcdata.build.options import BuildOptions

VERSION_CONTROL = (".git", ".hg", ".svn")
"""Folders of version control systems: not documents, passed over and counted."""

_JSONL = re.compile(rb"\.(jsonl|ndjson)(\.gz|\.zst)?$", re.IGNORECASE)

Kind: TypeAlias = Literal["file", "jsonl"]


@dataclass(frozen=True)
class Entry:
    """One input file."""

    root: int
    """Which of the inputs it was found under."""
    relative: bytes
    """Its path below that input; the file's own name if the input is the file."""
    size: int
    """Bytes, when it was found."""
    kind: Kind


@dataclass(frozen=True)
class Skipped:
    """Something found that is not taken."""

    root: int
    relative: bytes
    reason: str
    detail: str


def find_entries(options: BuildOptions) -> Iterator[Entry | Skipped]:
    """All input files and all that was passed over, in input order."""
    for root, path in enumerate(options.inputs):
        if path.is_dir():
            yield from _walk(root, os.fsencode(path), options)
        else:
            name = os.fsencode(path.name)
            records = options.format == "jsonl" or (options.format == "auto" and _JSONL.search(name) is not None)
            yield Entry(root, name, path.stat().st_size, "jsonl" if records else "file")


def entry_path(options: BuildOptions, entry: Entry) -> bytes:
    """Where an entry's file lies."""
    return os.path.join(options.root_folders[entry.root], entry.relative)  # noqa: PTH118


def _walk(root: int, top: bytes, options: BuildOptions) -> Iterator[Entry | Skipped]:
    is_included, is_excluded = _matcher(options.include), _matcher(options.exclude)
    records = options.format == "jsonl"
    output = _identity(os.fsencode(options.output))
    pending = [b""]  # folders to open, and files to yield, the next one last
    while pending:
        relative = pending.pop()
        path = os.path.join(top, relative) if relative else top  # noqa: PTH118 (names that are not UTF-8)
        try:
            status = os.stat(path) if not relative else os.lstat(path)  # noqa: PTH116
        except OSError as error:
            yield Skipped(root, relative, "unreadable", error.strerror or str(error))
            continue
        if stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) == output:
                continue  # the dataset itself, when it is written into its own input
            if relative and (relative.rpartition(b"/")[2].decode("utf-8", "replace") in VERSION_CONTROL):
                yield Skipped(root, relative + b"/", "excluded", "version control")
            elif relative and is_excluded(relative):
                yield Skipped(root, relative + b"/", "excluded", "--exclude")
            else:
                names, fault = _sorted_names(path)
                if fault is not None:
                    yield Skipped(root, relative + b"/", "unreadable", fault)
                prefix = relative + b"/" if relative else b""
                pending += [prefix + name for name in reversed(names)]
        elif stat.S_ISLNK(status.st_mode):
            yield Skipped(root, relative, "symlink", "symbolic links are not followed")
        elif not stat.S_ISREG(status.st_mode):
            yield Skipped(root, relative, "not a file", "only regular files are read")
        elif is_excluded(relative):
            yield Skipped(root, relative, "excluded", "--exclude")
        elif options.include and not is_included(relative):
            yield Skipped(root, relative, "excluded", "no --include matches")
        else:
            yield Entry(root, relative, status.st_size, "jsonl" if records else "file")


def _sorted_names(folder: bytes) -> tuple[list[bytes], str | None]:
    try:
        return sorted(os.listdir(folder)), None  # noqa: PTH208
    except OSError as error:
        return [], error.strerror or str(error)


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _matcher(patterns: tuple[str, ...]) -> Callable[[bytes], bool]:
    """Globs as in fnmatch: one with a slash is matched against the whole path, one without against the name."""
    whole = [re.compile(fnmatch.translate(pattern)) for pattern in patterns if "/" in pattern]
    last = [re.compile(fnmatch.translate(pattern)) for pattern in patterns if "/" not in pattern]

    def matches(relative: bytes) -> bool:
        path = os.fsdecode(relative)
        name = path.rpartition("/")[2]
        return any(glob.match(name) for glob in last) or any(glob.match(path) for glob in whole)

    return matches
