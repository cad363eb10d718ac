"""Reading the input: the documents of an entry one after another, or one of them again by its place.

A file of a tree is one document. A file of records (JSONL, Parquet, Arrow, tar) has many, each with its *place*. Scan
reads everything once, in order; write reads the kept documents again, in the same order.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from pcdata.dataset.block import Metadata
from pcdata.errors import InputError
from pcdata.inputs.base import (
    LEAST_EXPANDED_BYTES,
    MAX_RECORD_BYTES,
    MOST_EXPANSION,
    RECORD_BYTES,
    Changed,
    Fault,
    Record,
    RecordFile,
)
from pcdata.inputs.file_names import printable
from pcdata.inputs.jsonl import JsonlFile
from pcdata.inputs.metadata import fields_wanted, file_metadata, record_metadata
from pcdata.inputs.options import InputOptions
from pcdata.inputs.sources import Entry, entry_path, kind_of, opener
from pcdata.inputs.table_process import IsolatedTable, table_of
from pcdata.inputs.tables import Selection
from pcdata.inputs.tar import TarMembers
from pcdata.inputs.whose_fault import Unreadable, changed, reading

MAX_DETAIL = 1_000
"""Characters of a reject's detail, which may quote a value of any size."""

_BINARY_PROBE = 8_000
"""A NUL among this many first bytes makes a file binary, as in git."""

_MORE_BYTES = 65_536
"""Requested after a short read, usually only to learn that the file has ended."""


class Piece(NamedTuple):
    """One document, or one part of a long one, as found by the scan."""

    line: int
    """Its record's position in its file, from 1 (or in the range of JSONL); 0 for a whole file."""
    offset: int
    """The record's offset for ``RecordFile.at``; 0 for a whole file."""
    start: int
    """Where in the document the part begins."""
    raw: bytes
    last: bool
    """Whether the document ends with this part."""
    metadata: Metadata


@dataclass(frozen=True)
class Reject:
    """One rejected input."""

    file: str
    position: int
    """As ``Piece.line``."""
    reason: str
    detail: str

    def to_json(self) -> str:
        detail = self.detail if len(self.detail) <= MAX_DETAIL else self.detail[:MAX_DETAIL] + " …"
        return json.dumps({"file": self.file, "position": self.position, "reason": self.reason, "detail": detail})


class Lines(NamedTuple):
    """The number of lines in a range of JSONL, from which lines of the next range are numbered."""

    lines: int


Scanned: TypeAlias = Piece | Reject | Lines


def scan_entry(options: InputOptions, entry: Entry) -> Iterator[Scanned]:
    """All documents of an entry, cut into parts, and its rejects. Memory: one part, or one record."""
    try:
        with reading(_place(options, entry)), _opened(options, entry) as file:
            if entry.kind == "file":
                yield from _scan_file(options, entry, file)
            else:
                yield from _scan_records(options, entry, file)
    except Unreadable as error:
        yield Reject(printable(entry.relative), 0, "unreadable", str(error))


def _scan_file(options: InputOptions, entry: Entry, file: io.FileIO) -> Iterator[Scanned]:
    limit = options.max_document_bytes
    raw = _read_up_to(file, limit + 1, expected=entry.size)
    if not options.keep_binary and (fault := _no_document(entry.relative, raw)) is not None:
        yield Reject(printable(entry.relative), 0, fault.reason, fault.detail)
        return
    metadata = file_metadata(options, entry, file)
    start = 0
    while len(raw) > limit:
        end = cut(raw, limit)
        yield Piece(0, 0, start, raw[:end], False, metadata)
        start += end
        raw = raw[end:] + _read_up_to(file, end)
    yield Piece(0, 0, start, raw, True, metadata)


def _scan_records(options: InputOptions, entry: Entry, file: io.FileIO) -> Iterator[Scanned]:
    name = printable(entry.relative)
    position = size = 0
    most = max(LEAST_EXPANDED_BYTES, MOST_EXPANSION * os.fstat(file.fileno()).st_size)
    try:
        with reading(_place(options, entry)), closing(_open_records(options, entry, file)) as records:
            for position, offset, found in records.scan():
                understood = _understood(options, entry, found, position)
                size += RECORD_BYTES + (0 if isinstance(understood, Fault) else len(understood[0]) + understood[1].size)
                if size > most:
                    yield Reject(name, position, "too large", _TOO_MUCH)
                    return
                if isinstance(understood, Fault):
                    yield Reject(name, position, understood.reason, understood.detail)
                else:
                    yield from _parts(*understood, position, offset, options.max_document_bytes)
            if isinstance(records, JsonlFile) and entry.is_range:
                yield Lines(records.lines)
    except Unreadable as error:
        yield Reject(name, position + 1, "unreadable", f"the rest of the file cannot be read: {error}")


_TOO_MUCH: Final = (
    f"from here on the file is not read: its records have more than {MOST_EXPANSION:,} times as many bytes as it has "
    "itself, as no text does; write the records to a file uncompressed if they are right"
)


def _place(options: InputOptions, entry: Entry) -> str:
    """The file's path, for messages."""
    return printable(entry_path(options, entry))


def _opened(options: InputOptions, entry: Entry) -> io.FileIO:
    path = entry_path(options, entry)
    return open(path, "rb", buffering=0, opener=opener(options, entry))


def _open_records(options: InputOptions, entry: Entry, file: io.FileIO) -> RecordFile:
    wanted = fields_wanted(options)
    if entry.kind == "jsonl":
        return JsonlFile(file, entry.compression, options.text_key, wanted, entry.begin, entry.end)
    if entry.kind == "tar":
        return TarMembers(file, entry.compression)
    selection = Selection(options.text_key, wanted, MAX_RECORD_BYTES, entry.begin, entry.end)
    return IsolatedTable(table_of(file, entry_path(options, entry), entry.kind, selection))


def _understood(
    options: InputOptions, entry: Entry, found: Record | Fault, position: int
) -> tuple[bytes, Metadata] | Fault:
    """A record's bytes and metadata, or why it is rejected."""
    if isinstance(found, Fault):
        return found
    if entry.kind == "tar" and not options.keep_binary and _is_binary(found.raw):
        return _BINARY
    metadata = record_metadata(options, entry, found, position)
    return metadata if isinstance(metadata, Fault) else (found.raw, metadata)


def _parts(raw: bytes, metadata: Metadata, line: int, offset: int, limit: int) -> Iterator[Piece]:
    start = 0
    while len(raw) - start > limit:
        end = start + cut(raw[start : start + limit + 1], limit)
        yield Piece(line, offset, start, raw[start:end], False, metadata)
        start = end
    yield Piece(line, offset, start, raw[start:], True, metadata)


def cut(raw: bytes, limit: int) -> int:
    """Where the first part of a document longer than ``limit`` ends: after the last line end in the second half of the
    limit; else before a UTF-8 character; else at the limit."""
    line_end = raw.rfind(b"\n", limit // 2, limit)
    if line_end >= 0:
        return line_end + 1
    for end in range(limit, limit - 4, -1):
        if raw[end] & 0xC0 != 0x80:  # not inside a character
            return end
    return limit


class EntryReader:
    """Reads pieces of one entry again. In scan order, each byte is read once."""

    def __init__(self, options: InputOptions, entry: Entry) -> None:
        self.options = options
        self.entry = entry
        self._records: RecordFile | None = None
        self._offset = 0  # in a whole file, its next byte; in a file of records, the last record read
        self._last: tuple[bytes, Metadata] | Fault | None = None  # that record
        self._open()

    def _open(self) -> None:
        try:
            with reading(_place(self.options, self.entry)):
                self._file = _opened(self.options, self.entry)
        except Unreadable as error:
            raise InputError(self.changed(str(error))) from error

    def close(self) -> None:
        if self._records is not None:
            self._records.close()
            self._records = None
        self._file.close()

    def changed(self, what: str) -> str:
        """The error message for an input that has changed."""
        return changed(printable(self.entry.relative), what)

    def read(self, line: int, offset: int, start: int, length: int) -> tuple[bytes, Metadata]:
        """The bytes of a piece and its document's metadata. The caller checks that they are the same bytes."""
        try:
            with reading(_place(self.options, self.entry)):
                if self.entry.kind == "file":
                    return self._read_file(start, length)
                understood = self._record(line, offset)
        except (Changed, Unreadable) as error:
            raise InputError(self.changed(str(error))) from error
        if isinstance(understood, Fault):
            raise InputError(self.changed(f"record {line}: {understood.reason}"))
        raw, metadata = understood
        return raw[start : start + length], metadata

    def _record(self, line: int, offset: int) -> tuple[bytes, Metadata] | Fault:
        """A record; the file is reopened if it has been passed. A long record is requested part by part."""
        if self._last is not None and offset == self._offset:
            return self._last
        if self._records is not None and offset < self._offset:
            self.close()
            self._open()
        if self._records is None:
            self._records = _open_records(self.options, self.entry, self._file)
        self._offset, self._last = offset, None  # it need not be in memory with the next
        self._last = _understood(self.options, self.entry, self._records.at(offset), line)
        return self._last

    def _read_file(self, start: int, length: int) -> tuple[bytes, Metadata]:
        if start != self._offset:
            self._file.seek(start)
        raw = _read_up_to(self._file, length)
        self._offset = start + len(raw)
        return raw, file_metadata(self.options, self.entry, self._file)


_BINARY: Final = Fault("binary", "it has a NUL byte; --keep-binary takes it")

NO_DOCUMENT: Final = (_BINARY.reason, "archive", "file of records")
"""Reasons that need no repair: the file is intact, but of another kind."""

_ARCHIVES: Final = re.compile(rb"\.(zip|7z|rar|jar|whl|(tar\.)?(xz|bz2|lz4|lzma|gz|zst)|txz|tbz2?)$", re.IGNORECASE)
"""Names of archives and compressed files that are not read."""


def _no_document(name: bytes, raw: bytes) -> Fault | None:
    """Why a file of a tree is not a document, by its content and, for compressed files, by its name."""
    records = kind_of(name, "auto")
    if records == "file" and _ARCHIVES.search(name):
        return Fault("archive", "it is not looked into; unpack it, and name the folder as an input")
    if not _is_binary(raw):
        return None
    if records == "file":
        return _BINARY
    return Fault("file of records", f"those in a folder are read with --format {records}, or if they are named: DIR/*")


def _is_binary(raw: bytes) -> bool:
    return b"\0" in raw[:_BINARY_PROBE]


def _read_up_to(file: io.FileIO, length: int, expected: int | None = None) -> bytes:
    """Exactly ``length`` bytes, or all that are left; only ``expected`` bytes are requested if that is less.

    ``read(n)`` allocates n bytes before it knows how many there are.
    """
    data = file.read(length if expected is None else min(length, expected + 1))
    assert data is not None
    while len(data) < length:
        more = file.read(min(length - len(data), _MORE_BYTES))
        if not more:
            break
        data += more
    return data
