"""JSONL, plain or compressed: one record per line. A line's offset is its first byte in the uncompressed stream.

A large plain file is read in ranges of bytes by several tasks; a line belongs to the range in which it begins.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from functools import partial

from pcdata.dataset.json_files import parse_json_text
from pcdata.inputs.base import MAX_RECORD_BYTES, Changed, Fault, Located, Record, keys_of, no_text, too_large
from pcdata.inputs.streams import BUFFER_BYTES, decompressed
from pcdata.inputs.values import bytes_in
from pcdata.processes.isolated import Died, Isolated, Limits, Send

LARGE_LINE_BYTES = 1 << 24
"""Longer lines are parsed in a separate process: ``[[],[],…`` takes twenty times its size in memory."""

LIMITS = Limits(memory_bytes=2_000_000_000, cpu_seconds=60)
"""Of that process."""

_NOT_LINES = "; records are read one a line: jq -c '.[]' writes those of a list so"


class JsonlFile:
    """Lines that begin in bytes ``begin`` … ``end - 1`` of a file; ``end`` None: the end of the file."""

    def __init__(
        self,
        file: io.FileIO,
        compression: str | None,
        text_key: str,
        wanted: frozenset[str],
        begin: int = 0,
        end: int | None = None,
    ) -> None:
        """``compression`` is gzip, zstd or None. Of a large line only the fields ``wanted`` are kept."""
        self._lines = decompressed(file, compression)
        self._text_key = text_key
        self._wanted = wanted
        self._begin, self._end = begin, end
        self._offset = 0
        self.lines = 0
        """Read by ``scan`` so far."""

    def close(self) -> None:
        self._lines.close()

    def scan(self) -> Iterator[Located]:
        offset = self._first_line()
        while self._end is None or offset < self._end:
            line = self._lines.readline(MAX_RECORD_BYTES + 1)
            if not line:
                return
            self.lines += 1
            is_cut = len(line) > MAX_RECORD_BYTES and not line.endswith(b"\n")
            size = len(line) + (self._rest_of_line() if is_cut else 0)
            if line.strip():
                yield Located(self.lines, offset, self._parsed(line, offset, size))
            offset += size

    def at(self, offset: int) -> Record | Fault:
        self._skip_to(offset)
        line = self._lines.readline(MAX_RECORD_BYTES + 1)
        self._offset = offset + len(line)
        return self._parsed(line, offset, len(line))

    def _parsed(self, line: bytes, offset: int, size: int) -> Record | Fault:
        if size > MAX_RECORD_BYTES:
            return too_large(size)
        if size <= LARGE_LINE_BYTES:
            return parse_record(self._text_key, line, offset)
        found = _parsed_apart(self._text_key, self._wanted, line, offset)
        if isinstance(found, Record) and (fields := bytes_in(found.fields)) > MAX_RECORD_BYTES:
            return too_large(fields)
        return found

    def _first_line(self) -> int:
        """Go to the first line that begins in the range. Returns its offset."""
        if not self._begin:
            return 0
        self._lines.seek(self._begin - 1)
        offset = self._begin - 1
        while self._end is None or offset < self._end:
            line = self._lines.readline(BUFFER_BYTES)
            offset += len(line)
            if not line or line.endswith(b"\n"):
                return offset
        return offset

    def _rest_of_line(self) -> int:
        """Skip the rest of a line that is too large. Returns its size in bytes."""
        size = 0
        while more := self._lines.readline(BUFFER_BYTES):
            size += len(more)
            if more.endswith(b"\n"):
                break
        return size

    def _skip_to(self, offset: int) -> None:
        if offset == self._offset:
            return
        if self._lines.seekable():
            self._lines.seek(offset)
            return
        while self._offset < offset:
            skipped = len(self._lines.read(min(BUFFER_BYTES, offset - self._offset)))
            if not skipped:
                raise Changed(f"it ends before byte {offset}")
            self._offset += skipped


def _parsed_apart(text_key: str, wanted: frozenset[str], line: bytes, offset: int) -> Record | Fault:
    """What ``parse_record`` makes of a line, without the fields that are not wanted: they may be as large."""
    with closing(Isolated(partial, _answer, text_key, wanted, limits=LIMITS)) as process:
        try:
            (found,) = process.ask((line, offset))
        except Died as death:
            return Fault("too large", f"{len(line):,} bytes; the process that parsed it {death}")
    assert isinstance(found, Record | Fault)
    return found


def _answer(text_key: str, wanted: frozenset[str], request: tuple[bytes, int], send: Send) -> None:
    """In that process."""
    found = parse_record(text_key, *request)
    if isinstance(found, Record):
        found = Record(found.raw, {name: value for name, value in found.fields.items() if name in wanted})
    send(found)


def parse_record(text_key: str, line: bytes, offset: int) -> Record | Fault:
    """Parse one line (the first may start with a byte order mark)."""
    try:
        fields = parse_json_text(line.decode("utf-8" if offset else "utf-8-sig"))
    except UnicodeDecodeError as error:
        return Fault("not UTF-8", f"byte {error.start} of the line")
    except ValueError as error:
        hint = _NOT_LINES if line.strip() in (b"[", b"{") else ""
        return Fault("cut line" if not line.endswith(b"\n") else "bad JSON", f"{error}{hint}")
    if not isinstance(fields, dict):
        hint = _NOT_LINES if isinstance(fields, list) else ""
        return Fault("no object", f"the line holds a JSON {type(fields).__name__}{hint}")
    key = next((key for key in keys_of(text_key) if key in fields), None)
    if key is None:
        return no_text(text_key, list(fields))
    text = fields[key]
    if not isinstance(text, str):
        return Fault("text is not a string", f"{key!r} holds a JSON {type(text).__name__}")
    try:
        return Record(text.encode("utf-8"), fields)
    except UnicodeEncodeError as error:
        return Fault("lone surrogate", f"character {error.start} of {key!r}")
