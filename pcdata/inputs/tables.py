"""Parquet and Arrow: one record per row. A row's offset is its number in the file.

Both are read chunk by chunk: a Parquet row group, or an Arrow record batch. A large file is split into ranges of
chunks. The text may be of any string or binary type; its bytes are used unchanged. A file may kill the process that
reads it, so ``table_process`` runs this in a separate one.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pcdata.dataset.ipc_footer import IpcFooter
from pcdata.inputs.base import MAX_RECORD_BYTES, Fault, keys_of, no_text, too_large
from pcdata.inputs.values import Unconvertible, Values, bytes_in, checked, is_text
from pcdata.inputs.whose_fault import Unreadable

ROWS_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 1 << 26
"""Approximate size of the rows read at once, if they are large."""

_Batches: TypeAlias = Iterator[tuple[pa.RecordBatch, str | None]]
"""Some rows at a time, and what is wrong with them if they cannot be used."""


class Chunks(Protocol):
    """A table in pieces."""

    @property
    def column_names(self) -> list[str]: ...

    @property
    def rows(self) -> list[int] | None:
        """Of each chunk; None if there is one chunk whose rows are unknown until it is read."""

    @property
    def sizes(self) -> list[int]:
        """Approximate bytes of each chunk."""

    def read(self, chunk: int, columns: list[str], rows_at_once: int) -> _Batches:
        """The rows of a chunk."""


class Row(NamedTuple):
    """One row; invalid after others are requested."""

    position: int
    """From 1 in the file; 0 for a fault of the whole file."""
    text: memoryview | Fault
    fields: dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """What is read of a table: chunks ``begin`` … ``end - 1``; ``end`` None: the last."""

    text_key: str = ""
    wanted: frozenset[str] = frozenset()
    """Columns besides the text; others are not read."""
    max_record_bytes: int = MAX_RECORD_BYTES
    begin: int = 0
    end: int | None = None


class TableFile:
    """What is selected of a table."""

    def __init__(self, chunks: Chunks, selection: Selection) -> None:
        self._chunks = chunks
        self._selection = selection
        self._text = next((key for key in keys_of(selection.text_key) if key in chunks.column_names), None)
        self._columns = [name for name in chunks.column_names if name == self._text or name in selection.wanted]
        self._twice = next((name for name in self._columns if self._columns.count(name) > 1), None)
        self._first_rows = [0, *accumulate(chunks.rows or [])]
        n_chunks = 1 if chunks.rows is None else len(chunks.rows)
        end = n_chunks if selection.end is None else min(selection.end, n_chunks)
        self._range = range(selection.begin, end)
        self._ahead: tuple[int, Iterator[_Rows]] = 0, iter(())
        self._rows: _Rows | None = None

    def rows(self, first: int, rows_at_once: int) -> Iterator[Row]:
        """Some rows, from row ``first`` of the file on; none after the last. In order, each is read once."""
        if self._text is None:
            yield Row(0, no_text(self._selection.text_key, self._chunks.column_names), {})
        elif self._twice is not None:
            yield Row(0, Fault("column twice", f"more than one column is named {self._twice!r}; rename them"), {})
        elif (rows := self._with(first, rows_at_once)) is not None:
            yield from rows.after(first)

    def _with(self, first: int, rows_at_once: int) -> _Rows | None:
        """The rows read together with row ``first``, or with the next one in the range."""
        rows, (at_once, ahead) = self._rows, self._ahead
        self._rows = None
        if rows is None or at_once != rows_at_once or not self._is_ahead(first, rows):
            chunks = range(max(self._range.start, self._chunk_of(first)), self._range.stop)
            ahead = chain.from_iterable(self._rows_of(chunk, rows_at_once) for chunk in chunks)
            self._ahead = rows_at_once, ahead
            rows = next(ahead, None)
        while rows is not None and first >= rows.end:
            rows = next(ahead, None)
        self._rows = rows
        return rows

    def _is_ahead(self, row: int, rows: _Rows) -> bool:
        """Whether reading on from ``rows`` is the shortest way to a row."""
        return row == rows.end or (row >= rows.first and self._chunk_of(row) == rows.chunk)

    def _chunk_of(self, row: int) -> int:
        """The chunk that a row is, or would be, in."""
        return 0 if self._chunks.rows is None else bisect_right(self._first_rows, row) - 1

    def _rows_of(self, chunk: int, rows_at_once: int) -> Iterator[_Rows]:
        """Raises ``Unreadable`` after the last row if the number of rows is not what the file says."""
        assert self._text is not None
        row = self._first_rows[chunk]
        end = None if self._chunks.rows is None else self._first_rows[chunk + 1]
        for batch, damage in self._chunks.read(chunk, self._columns, rows_at_once):
            some = batch if end is None else batch.slice(0, end - row)
            yield _Rows(some, damage, self._text, chunk, row, self._selection.max_record_bytes)
            row += len(some)
            if len(some) < len(batch):
                raise Unreadable(f"it has more than {row:,} rows in its first {chunk + 1:,} parts, and says otherwise")
        if end is not None and row < end:
            raise Unreadable(f"it has {row:,} rows in its first {chunk + 1:,} parts, and says {end:,}")


class _Rows:
    """Some rows in memory."""

    def __init__(
        self, batch: pa.RecordBatch, damage: str | None, text: str, chunk: int, first: int, max_record_bytes: int
    ) -> None:
        self.chunk = chunk
        self._max_record_bytes = max_record_bytes
        self.first, self.end = first, first + len(batch)
        self._text_name = text
        self._text: Callable[[int], memoryview | None] | Fault
        if damage is not None:
            self._text = Fault("damaged", damage)
            return
        self._text = _bytes_of(batch.column(text))
        self._columns = {name: Values(batch.column(name)) for name in batch.schema.names if name != text}

    def after(self, first: int) -> Iterator[Row]:
        """All rows from row ``first`` of the file on."""
        for offset in range(max(first, self.first), self.end):
            found = self._row(offset - self.first)
            yield Row(offset + 1, found, {}) if isinstance(found, Fault) else Row(offset + 1, *found)

    def _row(self, row: int) -> tuple[memoryview, dict[str, Any]] | Fault:
        if isinstance(self._text, Fault):
            return self._text
        raw = self._text(row)
        if raw is None:
            return Fault("no text", f"{self._text_name!r} is null")
        if len(raw) > self._max_record_bytes:
            return too_large(len(raw), self._max_record_bytes)
        fields = {}
        for name, values in self._columns.items():
            try:
                fields[name] = values[row]
            except Unconvertible as error:
                return Fault("odd value", f"{name!r}: {error}")
        if (size := bytes_in(fields)) > self._max_record_bytes:
            return too_large(size, self._max_record_bytes)
        return raw, fields


def _bytes_of(column: pa.Array) -> Callable[[int], memoryview | None] | Fault:
    """The bytes of each row, without a copy; None for null."""
    if pa.types.is_dictionary(column.type):
        values, places = _bytes_of(column.dictionary), column.indices.to_pylist()
        if isinstance(values, Fault):
            return values
        return lambda index: None if (place := places[index]) is None else values(place)
    if not is_text(column.type):
        return Fault("text is not a string", f"the column holds {column.type}")
    wide = column.cast(pa.large_binary())
    buffers = wide.buffers()
    offsets = np.frombuffer(buffers[1], np.int64)[wide.offset : wide.offset + len(wide) + 1].tolist()
    data = memoryview(buffers[2] or b"").cast("B")
    missing = wide.is_null().to_pylist() if wide.null_count else None

    def row(index: int) -> memoryview | None:
        return None if missing and missing[index] else data[offsets[index] : offsets[index + 1]]

    return row


class ParquetChunks:
    """A Parquet file by row groups."""

    def __init__(self, file: io.FileIO) -> None:
        """Raises ``pa.ArrowException`` if it is not Parquet."""
        self._file = pq.ParquetFile(_path_of(file), page_checksum_verification=True)
        metadata = self._file.metadata
        self.column_names: list[str] = self._file.schema_arrow.names
        self.rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self.sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
        """Uncompressed bytes of each row group, including other columns."""
        if any(rows < 0 for rows in self.rows):
            raise Unreadable("a row group has fewer rows than none")

    def read(self, chunk: int, columns: list[str], rows_at_once: int) -> _Batches:
        """Row by row where Arrow fails to read more at once: it discards all rows of a read with the one that fails,
        and rows that share a long value each get a copy, so that few fit into memory."""
        rows_at_once = max(
            1, min(rows_at_once, _BYTES_AT_ONCE * self.rows[chunk] // (1 + self._bytes_of(chunk, columns)))
        )
        done = 0
        try:
            for batch in self._batches(chunk, columns, rows_at_once):
                yield batch, None  # made by Arrow, which has checked it
                done += len(batch)
            return
        except (OSError, MemoryError, pa.ArrowException):
            if rows_at_once == 1:
                raise
        for number, batch in enumerate(self._batches(chunk, columns, 1)):
            if number >= done:
                yield batch, None

    def _batches(self, chunk: int, columns: list[str], rows_at_once: int) -> Iterator[pa.RecordBatch]:
        return iter(self._file.iter_batches(rows_at_once, row_groups=[chunk], columns=columns, use_threads=False))

    def _bytes_of(self, chunk: int, columns: list[str]) -> int:
        group = self._file.metadata.row_group(chunk)
        wanted = (group.column(number) for number in range(group.num_columns))
        return sum(one.total_uncompressed_size for one in wanted if one.path_in_schema.partition(".")[0] in columns)


class ArrowChunks:
    """An Arrow IPC file (also Feather) by record batches. Mapped, so that unread parts cost nothing."""

    def __init__(self, file: pa.MemoryMappedFile) -> None:
        """Raises ``pa.ArrowException`` if it is not an Arrow file."""
        self._mapped = file.read_buffer(file.size())
        self._footer = IpcFooter(self._mapped)
        self._reader = pa.ipc.open_file(self._mapped)
        self.column_names: list[str] = self._reader.schema.names
        self.rows = [self._rows_in(number) for number in range(len(self._footer))]
        self.sizes = [file.size() // len(self.rows)] * len(self.rows) if self.rows else []

    def _rows_in(self, chunk: int) -> int:
        try:
            return self._footer[chunk].rows
        except pa.ArrowInvalid:
            return 0  # reading it reports why

    def read(self, chunk: int, columns: list[str], rows_at_once: int) -> _Batches:
        batch = self._footer[chunk]
        reader = self._reader_of(columns) if batch.is_compressed else self._reader
        yield from checked(reader.get_batch(chunk).select(columns), rows_at_once)

    def _reader_of(self, columns: list[str]) -> pa.RecordBatchFileReader:
        """A reader that decompresses only these."""
        numbers = [number for number, name in enumerate(self.column_names) if name in columns]
        return pa.ipc.open_file(self._mapped, options=pa.ipc.IpcReadOptions(included_fields=numbers, use_threads=False))


class StreamChunks:
    """An Arrow IPC stream, as written by ``datasets``: consecutive record batches, mapped. One chunk."""

    rows = None

    def __init__(self, file: pa.MemoryMappedFile) -> None:
        self._mapped = file.read_buffer(file.size())
        self.column_names: list[str] = pa.ipc.open_stream(self._mapped).schema.names
        self.sizes = [file.size()]

    def read(self, chunk: int, columns: list[str], rows_at_once: int) -> _Batches:
        source = pa.BufferReader(self._mapped)
        for batch in pa.ipc.open_stream(source):
            yield from checked(batch.select(columns), rows_at_once)
        if source.tell() < source.size():
            raise Unreadable(f"the stream ends at byte {source.tell():,}, and the file at byte {source.size():,}")


def open_chunks(file: io.FileIO, kind: str) -> Chunks:
    """``kind`` is parquet or arrow. For Arrow the first bytes decide, since Feather and ``datasets`` use the same file
    ending."""
    if kind == "parquet":
        return ParquetChunks(file)
    mapped = pa.memory_map(_path_of(file))
    magic = mapped.read(6)
    mapped.seek(0)
    return ArrowChunks(mapped) if magic == b"ARROW1" else StreamChunks(mapped)


def _path_of(file: io.FileIO) -> str:
    """A path under which Arrow opens an open file: its own name may not be text, or change with the locale."""
    return f"/dev/fd/{file.fileno()}"
