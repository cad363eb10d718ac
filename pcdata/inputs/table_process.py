"""Parquet and Arrow files are read in a process that may die: their parsers can be made to crash, and a file of three
kilobytes can take all the memory of a machine.

A process that builds starts one such process at the first of these files, and keeps it. If that dies, a new one resumes
at the same row, so that earlier reading makes no difference. If the new one dies at once, too, the file is at fault.

Texts are passed in shared memory: through a pipe they would be copied six times.
"""

from __future__ import annotations

import ctypes
import errno
import io
import multiprocessing.sharedctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

import pyarrow as pa

from pcdata.inputs.base import Changed, Fault, Located, Record
from pcdata.inputs.tables import ROWS_AT_ONCE, Chunks, Row, Selection, TableFile, open_chunks
from pcdata.inputs.values import bytes_in
from pcdata.inputs.whose_fault import Unreadable
from pcdata.processes.isolated import Died, Isolated, Limits, Send

LIMITS = Limits(memory_bytes=2_000_000_000, cpu_seconds=60)
"""While it is read, a record of the largest size is in memory several times, and a compressed record batch whole."""

_SHARED_BYTES: Final = 1 << 22
_FIELD_BYTES: Final = 1 << 20
"""Approximate size of the fields in one answer."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_Shared: TypeAlias = ctypes.Array[ctypes.c_ubyte]


@dataclass(frozen=True)
class Table:
    """What is read of one file."""

    path: bytes
    identity: tuple[int, ...]
    """Detects that another file has taken this name."""
    kind: str
    """parquet or arrow."""
    selection: Selection


def table_of(file: io.FileIO, path: bytes, kind: str, selection: Selection) -> Table:
    """The table in an open file."""
    return Table(path, _identity(file), kind, selection)


def _identity(file: io.FileIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _Sizes(NamedTuple):
    """A request for ``Chunks.sizes``."""

    table: Table


class _Rows(NamedTuple):
    """A request for some rows. After the last row, the answer is empty."""

    table: Table
    first: int
    """The first row wanted, by its number in the file."""
    most: int
    """The most rows in the answer."""
    rows_at_once: int
    """The most rows that the process reads at once."""


class _Packed(NamedTuple):
    """One row of an answer."""

    position: int
    text: tuple[int, int] | bytes | Fault
    """Its range in shared memory; or itself, if too large for that; or why there is none."""
    fields: dict[str, Any]

    @property
    def offset(self) -> int:
        return max(0, self.position - 1)


class IsolatedTable:
    """A ``RecordFile``."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows_at_once = ROWS_AT_ONCE
        self._some: dict[int, _Packed] = {}
        self._answer = 0
        """The number of the answer whose texts are in shared memory."""
        self._used = 0
        """How many of its rows were used."""

    def close(self) -> None:
        self._some = {}

    def scan(self) -> Iterator[Located]:
        first = 0
        while rows := self._from(first, ROWS_AT_ONCE):
            yield from map(_process.unpacked, rows)
            first = rows[-1].position
            if not first:
                return  # a fault of the whole file

    def at(self, offset: int) -> Record | Fault:
        if offset not in self._some or self._answer != _process.n_answers:
            wanted = 2 * self._used or 1  # the more rows of the last answer were used, the more are requested
            rows = self._from(offset, min(wanted, ROWS_AT_ONCE))
            self._some = {row.offset: row for row in rows}
            self._answer, self._used = _process.n_answers, 0
        self._used += 1
        if offset not in self._some:
            raise Changed(f"it has no row {offset + 1}")
        return _process.unpacked(self._some[offset]).found

    def _from(self, first: int, most: int) -> list[_Packed]:
        try:
            return list(_process.ask(_Rows(self._table, first, most, self._rows_at_once)))
        except Died:
            self._rows_at_once = 1
            return list(_ask_again(_Rows(self._table, first, most, self._rows_at_once)))


def sizes_of(table: Table) -> list[int]:
    """Approximate bytes of each chunk. Raises what a ``RecordFile`` does."""
    try:
        return list(_process.ask(_Sizes(table)))
    except Died:
        return list(_ask_again(_Sizes(table)))


def _ask_again(request: _Sizes | _Rows) -> Any:
    """The answer of a new process."""
    try:
        return _process.ask(request)
    except Died as death:
        raise Unreadable(f"the process that read it {death}") from None


class _Process:
    """The table process of this process."""

    def __init__(self) -> None:
        self._isolated: Isolated | None = None
        self._shared = memoryview(b"")
        self.n_answers = 0
        """So far. Each answer overwrites the one before in shared memory."""

    def ask(self, request: _Sizes | _Rows) -> Any:
        """The answer. Raises ``Died``; the next request then goes to a new process."""
        isolated = self._isolated = self._isolated or self._started()
        self.n_answers += 1
        try:
            (answer,) = isolated.ask(request)
        except Died:
            self.close()
            raise
        finally:
            if isolated.connection.closed:
                self._isolated = None
        return answer

    def unpacked(self, row: _Packed) -> Located:
        """A row of the last answer."""
        text = row.text
        found: Record | Fault
        if isinstance(text, Fault):
            found = text
        else:
            found = Record(self._shared[slice(*text)].tobytes() if isinstance(text, tuple) else text, row.fields)
        return Located(row.position, row.offset, found)

    def _started(self) -> Isolated:
        shared = multiprocessing.sharedctypes.RawArray(ctypes.c_ubyte, _SHARED_BYTES)
        self._shared = memoryview(shared).cast("B")
        return Isolated(_TableReader, shared, limits=LIMITS)

    def close(self) -> None:
        if self._isolated is not None:
            self._isolated.close()
            self._isolated = None


_process: Final = _Process()


def end_table_process() -> None:
    """End the table process of this process, if there is one."""
    _process.close()


class _TableReader:
    """What the process does. The last table stays open."""

    def __init__(self, shared: _Shared) -> None:
        pa.set_memory_pool(pa.system_memory_pool())  # others reserve address space, which is limited
        _keep_freed_memory()
        self._shared = memoryview(shared).cast("B")
        self._table: Table | None = None
        self._rows: TableFile | None = None
        self._file: io.FileIO | None = None
        self._chunks: Chunks | None = None

    def __call__(self, request: _Sizes | _Rows, send: Send) -> None:
        try:
            send(self._answer(request))
        except UnicodeError as error:  # from a column's name
            raise Unreadable(str(error)) from error

    def _answer(self, request: _Sizes | _Rows) -> list[int] | list[_Packed]:
        if isinstance(request, _Sizes):
            return self._chunks_of(request.table).sizes
        rows = self._opened(request.table).rows(request.first, request.rows_at_once)
        return [*_packed(islice(rows, request.most), self._shared)]

    def _opened(self, table: Table) -> TableFile:
        if self._rows is None or self._table != table:
            self._rows = TableFile(self._chunks_of(table), table.selection)
        return self._rows

    def _chunks_of(self, table: Table) -> Chunks:
        """The open ones, if the table is another range of the same file, since finding them takes time."""
        here = self._table
        if self._chunks is None or here is None or (here.identity, here.kind) != (table.identity, table.kind):
            self._table = self._chunks = None
            if self._file is not None:
                self._file.close()
            self._file = _opened(table)
            self._chunks = open_chunks(self._file, table.kind)
        if self._table != table:
            self._table, self._rows = table, None
        return self._chunks


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory, in pieces up to 16 MB and 128 MB in total. Otherwise it returns every buffer that
    Arrow frees to the kernel, and getting the next takes much of the time. Larger pieces would fragment memory."""
    with suppress(AttributeError):  # other C libraries have no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 1 << 24)
        mallopt(_M_TRIM_THRESHOLD, 1 << 27)


def _opened(table: Table) -> io.FileIO:
    file = io.FileIO(os.open(table.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    if _identity(file) != table.identity:
        file.close()
        raise OSError(errno.ESTALE, "it is another file now")
    return file


def _packed(rows: Iterator[Row], shared: memoryview) -> Iterator[_Packed]:
    """Rows, with their texts in ``shared``, until that is full."""
    used = size = 0
    for position, text, fields in rows:
        if isinstance(text, Fault):
            yield _Packed(position, text, {})
            continue
        end = used + len(text)
        if end > len(shared):
            if not used:
                yield _Packed(position, text.tobytes(), fields)
            return
        shared[used:end] = text
        yield _Packed(position, (used, end), fields)
        used, size = end, size + bytes_in(fields)
        if size >= _FIELD_BYTES:
            return
