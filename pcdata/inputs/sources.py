"""Finding the input: which files there are, in an order that does not depend on the file system.

Folders are walked depth first, with names sorted as bytes. Whatever is skipped (by a glob, or as a symlink, a fifo, or
an unreadable folder) becomes a ``Skipped``, so that it is counted. Large files of records are split into ranges for
several tasks; apart from their footers, nothing is opened here.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from pcdata.errors import InputError
from pcdata.inputs.file_names import printable, text_of
from pcdata.inputs.options import InputOptions
from pcdata.inputs.passed_over import reason_to_pass_over
from pcdata.inputs.saved import saved_files
from pcdata.inputs.table_process import sizes_of, table_of
from pcdata.inputs.tables import Selection
from pcdata.inputs.whose_fault import Unreadable, changed, reading

Kind: TypeAlias = Literal["file", "jsonl", "parquet", "arrow", "tar"]

_NAMES: Final[dict[Kind, re.Pattern[bytes]]] = {
    "jsonl": re.compile(rb"\.((jsonl|ndjson)(\.gz|\.zst)?|json\.(gz|zst))$", re.IGNORECASE),
    "parquet": re.compile(rb"\.(parquet|pq)$", re.IGNORECASE),
    "arrow": re.compile(rb"\.(arrow|feather|ipc)$", re.IGNORECASE),
    "tar": re.compile(rb"\.(tar(\.gz|\.zst)?|tgz)$", re.IGNORECASE),
}

Identity: TypeAlias = tuple[int, int]
"""A folder's device and inode, independent of its name."""

_NOT_FOLLOWED: Final = "symbolic links are not followed unless named, as by a glob: DIR/*"

RANGE_BYTES = 16_000_000
"""Approximate size of the part of a large file of records that one task reads."""


class Entry(NamedTuple):
    """One input file, or a range of one."""

    root: int
    """Index of the input that it was found in."""
    relative: bytes
    """Its path in that input; the file's own name if the input is the file."""
    size: int
    """Bytes when it was found; for a range, its approximate part of them."""
    kind: Kind
    begin: int = 0
    """First byte (JSONL), row group or record batch of a range."""
    end: int | None = None
    """Exclusive end of the range; None: the end of the file."""

    @property
    def is_range(self) -> bool:
        """Whether it is less than the whole file."""
        return bool(self.begin) or self.end is not None

    @property
    def compression(self) -> str | None:
        """gzip, zstd or None; a compressed stream can only be read from its beginning."""
        lower = self.relative.lower()
        if self.kind not in ("jsonl", "tar"):
            return None
        return "gzip" if lower.endswith((b".gz", b".tgz")) else "zstd" if lower.endswith(b".zst") else None


class Skipped(NamedTuple):
    """Something found that is not read."""

    root: int
    relative: bytes
    reason: str
    detail: str


def find_entries(
    options: InputOptions, output: Path | None = None, whole_jsonl: bool = False
) -> Iterator[Entry | Skipped]:
    """All input files and everything that was skipped, in input order.

    The folder ``output``, where the dataset is written, is not read. ``whole_jsonl``: JSONL is not split into ranges.
    """
    left_out = None if output is None else _identity(os.fsencode(output))
    for found in _find_files(options, left_out):
        if isinstance(found, Skipped) or (whole_jsonl and found.kind == "jsonl"):
            yield found
        else:
            yield from _ranges(options, found)


def entry_path(options: InputOptions, entry: Entry) -> bytes:
    """The path of an entry's file."""
    return options.root_folders[entry.root] + entry.relative


def opener(options: InputOptions, entry: Entry) -> Callable[[Any, int], int]:
    """For ``open``, of a file that was listed. Whatever has replaced it since is neither followed nor waited for."""
    links = os.O_NOFOLLOW if options.are_folders[entry.root] else 0

    def opened(path: Any, flags: int) -> int:
        descriptor = os.open(path, flags | links | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InputError(changed(printable(path), "it is no regular file any more"))
        return descriptor

    return opened


def _find_files(options: InputOptions, left_out: Identity | None) -> Iterator[Entry | Skipped]:
    for root, path in enumerate(options.paths):
        if not path.is_dir():
            name = os.fsencode(path.name)
            yield Entry(root, name, path.stat().st_size, kind_of(name, options.format))
            continue
        saved = saved_files(path) if options.format in ("auto", "arrow") else None
        if saved is None:
            yield from _walk(root, os.fsencode(path), options, left_out)
            continue
        for name, fault in saved:
            if fault is None:
                yield Entry(root, name, (path / os.fsdecode(name)).stat().st_size, "arrow")
            else:
                yield Skipped(root, name, "unreadable", fault)


def kind_of(name: bytes, asked: str) -> Kind:
    """How a file that was named as an input is read."""
    if asked == "auto":
        return next((kind for kind, pattern in _NAMES.items() if pattern.search(name)), "file")
    return next((kind for kind in _NAMES if kind == asked), "file")


def only_files(options: InputOptions) -> bool:
    """Whether every document is a whole file, with no metadata except its name."""
    if options.format != "auto":
        return options.format == "files"
    return all(
        saved_files(path) is None if path.is_dir() else kind_of(os.fsencode(path.name), "auto") == "file"
        for path in options.paths
    )


def _ranges(options: InputOptions, entry: Entry) -> Iterator[Entry | Skipped]:
    """The file, or its ranges if it is large and can be read from the middle."""
    if entry.kind in ("file", "tar") or entry.compression or entry.size < 2 * RANGE_BYTES:
        yield entry
        return
    if entry.kind == "jsonl":
        for begin in range(0, entry.size, RANGE_BYTES):
            end = begin + RANGE_BYTES if begin + RANGE_BYTES < entry.size else None
            yield entry._replace(begin=begin, end=end, size=min(RANGE_BYTES, entry.size - begin))
        return
    path = entry_path(options, entry)
    try:
        with reading(printable(path)), open(path, "rb", buffering=0, opener=opener(options, entry)) as file:
            sizes = sizes_of(table_of(file, path, entry.kind, Selection()))
    except Unreadable as error:
        yield Skipped(entry.root, entry.relative, "unreadable", str(error))
        return
    begin, held = 0, 0
    for number, size in enumerate(sizes, start=1):
        held += size
        if number == len(sizes) or held >= RANGE_BYTES:
            yield entry._replace(begin=begin, end=number if number < len(sizes) else None, size=held)
            begin, held = number, 0


def _walk(root: int, top: bytes, options: InputOptions, left_out: Identity | None) -> Iterator[Entry | Skipped]:
    is_included, is_excluded = _matcher(options.include), _matcher(options.exclude)
    kind = kind_of(b"", options.format)
    is_of_kind = _NAMES[kind].search if kind in ("parquet", "arrow", "tar") else None
    pending, fault = _listed(top, b"")  # still to visit, the next one last
    if fault is not None:
        yield Skipped(root, b"./", "unreadable", fault)
    while pending:
        relative, found = pending.pop()
        if found.is_dir(follow_symlinks=False):
            if left_out is not None and found.inode() == left_out[1] and _identity(found.path) == left_out:
                continue  # the dataset itself, if it is written into its own input
            passed_over = reason_to_pass_over(found.path) if options.default_excludes else None
            if passed_over is not None:
                yield Skipped(root, relative + b"/", *passed_over)
            elif is_excluded(relative):
                yield Skipped(root, relative + b"/", "excluded", "--exclude")
            else:
                inside, fault = _listed(found.path, relative + b"/")
                pending += inside
                if fault is not None:
                    yield Skipped(root, relative + b"/", "unreadable", fault)
        elif found.is_symlink():
            yield Skipped(root, relative, "symlink", _NOT_FOLLOWED)
        elif not found.is_file(follow_symlinks=False):
            yield Skipped(root, relative, "not a file", "only regular files are read")
        elif is_excluded(relative):
            yield Skipped(root, relative, "excluded", "--exclude")
        elif options.include and not is_included(relative):
            yield Skipped(root, relative, "excluded", "no --include matches")
        elif is_of_kind is not None and not is_of_kind(relative):
            yield Skipped(root, relative, "excluded", f"not named like --format {options.format}")
        else:
            yield _entry(root, relative, found, kind)


def _entry(root: int, relative: bytes, found: os.DirEntry[bytes], kind: Kind) -> Entry | Skipped:
    try:
        with reading(printable(found.path)):
            return Entry(root, relative, found.stat(follow_symlinks=False).st_size, kind)
    except Unreadable as error:
        return Skipped(root, relative, "unreadable", str(error))


def _listed(folder: bytes, prefix: bytes) -> tuple[list[tuple[bytes, os.DirEntry[bytes]]], str | None]:
    """The entries of a folder, last name first, with their relative paths; and the error if it cannot be listed."""
    try:
        with reading(printable(folder)), os.scandir(folder) as entries:
            found = sorted(entries, key=attrgetter("name"), reverse=True)
    except Unreadable as error:
        return [], str(error)
    return [(prefix + entry.name, entry) for entry in found], None


def _identity(path: bytes) -> Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _matcher(patterns: tuple[str, ...]) -> Callable[[bytes], bool]:
    """Globs as in fnmatch: with a slash, matched against the whole path; without, against the name."""
    whole = _any_of([pattern for pattern in patterns if "/" in pattern])
    last = _any_of([pattern for pattern in patterns if "/" not in pattern])

    def matches(relative: bytes) -> bool:
        if last is not None and last(text_of(relative.rpartition(b"/")[2])):
            return True
        return whole is not None and whole(text_of(relative)) is not None

    return matches


def _any_of(patterns: list[str]) -> Callable[[str], re.Match[str] | None] | None:
    """One expression for all globs; None if there are none."""
    globs = [fnmatch.translate(text_of(os.fsencode(pattern))) for pattern in patterns]
    return re.compile("|".join(globs)).match if globs else None
