"""Reading the input: an entry's documents, one after another, and one of them again by its place.

A tree's file is one document. A JSONL file has one per line; its *place* is the byte offset of the line in the
uncompressed stream. Scan reads everything once in order; write reads what was kept a second time, in the same order.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, TypeAlias

import pyarrow as pa

from pcdata.build.languages import UNKNOWN, language_of
from pcdata.build.options import BuildOptions, printable
from pcdata.build.sources import Entry, entry_path
from pcdata.errors import InputError

PATH_KEYS = ("path", "file_path", "filepath", "filename", "max_stars_repo_path")
LANG_KEYS = ("lang", "language", "programming_language")
SOURCE_KEYS = ("source", "repo", "repo_name", "repository_name", "max_stars_repo_name")

_BINARY_PROBE = 8_000
"""A NUL among this many first bytes makes a file binary: git's rule."""

_MORE_BYTES = 65_536
"""How much is asked for where the kernel gave less than was wanted: mostly, to hear that there is no more."""


class Metadata(NamedTuple):
    """What the base file says of a document besides its bytes."""

    path: bytes
    lang: str
    source: str


class Piece(NamedTuple):
    """One document, or one part of a long one, as the scan meets it."""

    line: int
    """1-based in a JSONL file, 0 for a whole file."""
    offset: int
    """Of the line, in the uncompressed stream; 0 for a whole file."""
    start: int
    """Where in the document the part begins."""
    raw: bytes
    last: bool
    """Whether the document ends with this part."""


@dataclass(frozen=True)
class Reject:
    """One input that is not taken; a line of rejects.jsonl."""

    file: str
    position: int
    """The line in a JSONL file, 0 for a whole file."""
    reason: str
    detail: str

    def to_json(self) -> str:
        return json.dumps({"file": self.file, "position": self.position, "reason": self.reason, "detail": self.detail})


class RejectLine(NamedTuple):
    """A reject on its way from scan to rejects.jsonl: its place for sorting, its reason for counting, its line."""

    entry: int
    position: int
    reason: str
    json: str

    @classmethod
    def of(cls, entry: int, reject: Reject) -> RejectLine:
        """``entry`` is the number of the entry in its scan task."""
        return cls(entry, reject.position, reject.reason, reject.to_json())

    @classmethod
    def from_text(cls, text: str) -> RejectLine:
        """The inverse of ``to_text``."""
        entry, position, reason, line = text.split("\t")
        return cls(int(entry), int(position), reason, line)

    def to_text(self) -> str:
        """One line; JSON and reasons hold no tabs."""
        return f"{self.entry}\t{self.position}\t{self.reason}\t{self.json}\n"


Scanned: TypeAlias = Piece | Reject


def scan_entry(options: BuildOptions, entry: Entry) -> Iterator[Scanned]:
    """All documents of an entry, cut into parts, and its rejects. Memory: one part, or one JSONL line."""
    try:
        with open(entry_path(options, entry), "rb", buffering=0) as file:  # noqa: PTH123 (a path of bytes)
            if entry.kind == "jsonl":
                yield from _scan_jsonl(options, entry, file)
            else:
                yield from _scan_file(options, entry, file)
    except OSError as error:
        yield Reject(printable(entry.relative), 0, "unreadable", error.strerror or str(error))


def _scan_file(options: BuildOptions, entry: Entry, file: io.FileIO) -> Iterator[Scanned]:
    limit = options.max_document_bytes
    raw = _read_up_to(file, limit + 1, expected=entry.size)
    if not options.keep_binary and b"\0" in raw[:_BINARY_PROBE]:
        yield Reject(printable(entry.relative), 0, "binary", "it has a NUL byte; --keep-binary takes it")
        return
    start = 0
    while len(raw) > limit:
        end = cut(raw, limit)
        yield Piece(0, 0, start, raw[:end], last=False)
        start += end
        raw = raw[end:] + _read_up_to(file, end)
    yield Piece(0, 0, start, raw, last=True)


def _scan_jsonl(options: BuildOptions, entry: Entry, file: io.FileIO) -> Iterator[Scanned]:
    name = printable(entry.relative)
    offset = number = 0
    try:
        with _stream(entry, file) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    record = parse_record(options.text_key, line, number)
                    if isinstance(record, Fault):
                        yield Reject(name, number, record.reason, record.detail)
                    else:
                        yield from _parts(record.raw, number, offset, options.max_document_bytes)
                offset += len(line)
    except (OSError, EOFError, pa.ArrowException) as error:
        yield Reject(name, number + 1, "unreadable", f"the rest of the file cannot be read: {error}")


def _parts(raw: bytes, line: int, offset: int, limit: int) -> Iterator[Piece]:
    start = 0
    while len(raw) - start > limit:
        end = start + cut(raw[start : start + limit + 1], limit)
        yield Piece(line, offset, start, raw[start:end], last=False)
        start = end
    yield Piece(line, offset, start, raw[start:], last=True)


def cut(raw: bytes, limit: int) -> int:
    """Where the first part of a document longer than ``limit`` ends: after the last line end in the second half of
    the limit; without one, where a UTF-8 character ends; at the limit if there is neither."""
    line_end = raw.rfind(b"\n", limit // 2, limit)
    if line_end >= 0:
        return line_end + 1
    for end in range(limit, limit - 4, -1):
        if raw[end] & 0xC0 != 0x80:  # not inside a character
            return end
    return limit


@dataclass(frozen=True)
class Record:
    """A JSONL line, understood."""

    raw: bytes
    fields: dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A JSONL line that is no document."""

    reason: str
    detail: str


def parse_record(text_key: str, line: bytes, number: int) -> Record | Fault:
    """Understand one line; ``number`` is 1-based (a byte order mark is allowed in front of line 1)."""
    try:
        fields = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return Fault("not UTF-8", f"byte {error.start} of the line")
    except (ValueError, RecursionError) as error:
        return Fault("cut line" if not line.endswith(b"\n") else "bad JSON", str(error))
    if not isinstance(fields, dict):
        return Fault("no object", f"the line holds a JSON {type(fields).__name__}")
    if text_key not in fields:
        keys = ", ".join(repr(key) for key in list(fields)[:8]) or "none"
        return Fault("no text key", f"no key {text_key!r}; its keys: {keys}; --text-key names another")
    text = fields[text_key]
    if not isinstance(text, str):
        return Fault("text is not a string", f"{text_key!r} holds a JSON {type(text).__name__}")
    try:
        return Record(text.encode("utf-8"), fields)
    except UnicodeEncodeError as error:
        return Fault("lone surrogate", f"character {error.start} of {text_key!r}")


class EntryReader:
    """Reads pieces of one entry again, in the order in which scan met them."""

    def __init__(self, options: BuildOptions, entry: Entry) -> None:
        self._options = options
        self._entry = entry
        self._source = options.source_names[entry.root]
        try:
            self._file = open(entry_path(options, entry), "rb", buffering=0)  # noqa: PTH123, SIM115 (closed by close)
        except OSError as error:
            raise InputError(self.changed(error.strerror or str(error))) from error
        self._stream: IO[bytes] | None = None
        self._offset = 0  # of the stream
        self._line = -1
        self._record: Record | None = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._file.close()

    def changed(self, what: str) -> str:
        """The sentence for an input that is not what it was."""
        name = printable(self._entry.relative)
        return f"input changed while it was read: {name} ({what}); start again in an empty folder"

    def read(self, line: int, offset: int, start: int, length: int) -> tuple[bytes, Metadata]:
        """The bytes of a piece and its document's metadata. Whether they are the same bytes is the caller's check."""
        try:
            if self._entry.kind == "jsonl":
                record = self._record_at(line, offset)
                return record.raw[start : start + length], self._metadata(record.fields, line)
            if start != self._offset:
                self._file.seek(start)
            raw = _read_up_to(self._file, length)
            self._offset = start + len(raw)
            return raw, Metadata(self._entry.relative, language_of(self._entry.relative), self._source)
        except (OSError, EOFError, pa.ArrowException) as error:
            raise InputError(self.changed(str(error))) from error

    def _record_at(self, line: int, offset: int) -> Record:
        if self._record is not None and self._line == line:
            return self._record
        if self._stream is None:
            self._stream = _stream(self._entry, self._file)
        if offset != self._offset:
            self._skip_to(offset)
        text = self._stream.readline()
        self._offset = offset + len(text)
        record = parse_record(self._options.text_key, text, line)
        if isinstance(record, Fault):
            raise InputError(self.changed(f"line {line}: {record.reason}"))
        self._line, self._record = line, record
        return record

    def _skip_to(self, offset: int) -> None:
        assert self._stream is not None
        if self._stream.seekable():
            self._stream.seek(offset)
            return
        while self._offset < offset:
            skipped = len(self._stream.read(min(1 << 20, offset - self._offset)))
            if not skipped:
                raise InputError(self.changed(f"it ends before byte {offset}"))
            self._offset += skipped

    def _metadata(self, fields: dict[str, Any], line: int) -> Metadata:
        """What a record says of itself; what it does not say is its file, its line and an unknown language."""
        path = _first_text(fields, PATH_KEYS)
        path_bytes = path.encode("utf-8", "backslashreplace") if path else self._entry.relative + b":%d" % line
        lang = _first_text(fields, LANG_KEYS) or (language_of(path_bytes) if path else UNKNOWN)
        source = _first_text(fields, SOURCE_KEYS) or self._source
        return Metadata(path_bytes, _clean(lang), _clean(source))


def _first_text(fields: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((fields[key] for key in keys if isinstance(fields.get(key), str)), None)


def _clean(text: str) -> str:
    """Without lone surrogates, which no column of text can hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def _read_up_to(file: io.FileIO, length: int, expected: int | None = None) -> bytes:
    """Exactly ``length`` bytes, or all that are left; of ``expected`` bytes, if that is less, without asking for more.

    ``read(n)`` allocates n bytes before it knows how many there are, hence the expectation.
    """
    data = file.read(length if expected is None else min(length, expected + 1))
    assert data is not None
    while len(data) < length:
        more = file.read(min(length - len(data), _MORE_BYTES))
        if not more:
            break
        data += more
    return data


def _stream(entry: Entry, file: io.FileIO) -> IO[bytes]:
    """A buffered stream of the uncompressed content. Cut compressed files raise ``OSError`` where they end."""
    name = entry.relative.lower()
    codec = "gzip" if name.endswith(b".gz") else "zstd" if name.endswith(b".zst") else None
    if codec is None:
        return io.BufferedReader(file, 1 << 20)
    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file, "r"), codec), 1 << 20)
