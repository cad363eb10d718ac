"""Finding the input: which files there are, in an order that does not depend on the file system.

Folders are walked depth first, names sorted as bytes. Nothing is opened here. What is passed over (by a glob, a
symlink, a fifo, an unreadable folder) becomes a ``Skipped``, so that it is counted.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from pcdata.build.options import BuildOptions

NEVER_DOCUMENTS = (b".git", b".hg", b".svn", b"__pycache__")
"""Folders that version control systems and Python keep for themselves: passed over and counted."""

_JSONL = re.compile(rb"\.(jsonl|ndjson)(\.gz|\.zst)?$", re.IGNORECASE)

Kind: TypeAlias = Literal["file", "jsonl"]


class Entry(NamedTuple):
    """One input file."""

    root: int
    """Which of the inputs it was found under."""
    relative: bytes
    """Its path below that input; the file's own name if the input is the file."""
    size: int
    """Bytes, when it was found."""
    kind: Kind


class Skipped(NamedTuple):
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
    kind: Kind = "jsonl" if options.format == "jsonl" else "file"
    output = _identity(os.fsencode(options.output))
    pending, fault = _listed(top, b"")  # what is left to visit, the next one last
    if fault is not None:
        yield Skipped(root, b"./", "unreadable", fault)
    while pending:
        relative, found = pending.pop()
        if found.is_dir(follow_symlinks=False):
            if output is not None and found.inode() == output[1] and _identity(found.path) == output:
                continue  # the dataset itself, when it is written into its own input
            if found.name in NEVER_DOCUMENTS:
                yield Skipped(root, relative + b"/", "excluded", "holds no documents, by its name")
            elif is_excluded(relative):
                yield Skipped(root, relative + b"/", "excluded", "--exclude")
            else:
                inside, fault = _listed(found.path, relative + b"/")
                pending += inside
                if fault is not None:
                    yield Skipped(root, relative + b"/", "unreadable", fault)
        elif found.is_symlink():
            yield Skipped(root, relative, "symlink", "symbolic links are not followed")
        elif not found.is_file(follow_symlinks=False):
            yield Skipped(root, relative, "not a file", "only regular files are read")
        elif is_excluded(relative):
            yield Skipped(root, relative, "excluded", "--exclude")
        elif options.include and not is_included(relative):
            yield Skipped(root, relative, "excluded", "no --include matches")
        else:
            yield _entry(root, relative, found, kind)


def _entry(root: int, relative: bytes, found: os.DirEntry[bytes], kind: Kind) -> Entry | Skipped:
    try:
        return Entry(root, relative, found.stat(follow_symlinks=False).st_size, kind)
    except OSError as error:
        return Skipped(root, relative, "unreadable", error.strerror or str(error))


def _listed(folder: bytes, prefix: bytes) -> tuple[list[tuple[bytes, os.DirEntry[bytes]]], str | None]:
    """What lies in a folder, last name first, each with its relative path; and the fault if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=_name, reverse=True)
    except OSError as error:
        return [], error.strerror or str(error)
    return [(prefix + entry.name, entry) for entry in found], None


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _matcher(patterns: tuple[str, ...]) -> Callable[[bytes], bool]:
    """Globs as in fnmatch: one with a slash is matched against the whole path, one without against the name."""
    whole = _any_of([pattern for pattern in patterns if "/" in pattern])
    last = _any_of([pattern for pattern in patterns if "/" not in pattern])

    def matches(relative: bytes) -> bool:
        if last is not None and last(os.fsdecode(relative.rpartition(b"/")[2])):
            return True
        return whole is not None and whole(os.fsdecode(relative)) is not None

    return matches


def _any_of(patterns: list[str]) -> Callable[[str], re.Match[str] | None] | None:
    """One expression for all globs; None if there are none."""
    return re.compile("|".join(map(fnmatch.translate, patterns))).match if patterns else None
