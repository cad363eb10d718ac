"""Parquet and Arrow: a record per row. A row's offset is its number in the file.

Both are read chunk by chunk: a Parquet row group, or an Arrow record batch. A large file is split into ranges of
chunks. Text is any type of string or bytes, taken as the bytes that are there.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pcdata.build.inputs.base import (
    MAX_RECORD_BYTES,
    Changed,
    Fault,
    Located,
    Record,
    keys_of,
    no_text,
    too_large,
)
from pcdata.build.inputs.values import Unconvertible, Values, checked, is_text

_ROWS_AT_ONCE = 256


class Chunks(Protocol):
    """A table in pieces."""

    column_names: list[str]
    rows: list[int]
    """Of each chunk."""

    def read(self, chunk: int, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, str | None]]:
        """The rows of a chunk, some at a time; and what is wrong with those, if they cannot be used."""


class TableFile:
    """Chunks ``begin`` … ``end - 1`` of a table; ``end`` None: to the last. Columns outside ``wanted`` are not read."""

    def __init__(self, chunks: Chunks, text_key: str, wanted: set[str], begin: int = 0, end: int | None = None) -> None:
        self._chunks = chunks
        self._text_key = text_key
        self._text = next((key for key in keys_of(text_key) if key in chunks.column_names), None)
        self._columns = [name for name in chunks.column_names if name == self._text or name in wanted]
        self._twice = next((name for name in self._columns if self._columns.count(name) > 1), None)
        self._first_rows = [0, *accumulate(chunks.rows)]
        self._range = range(begin, len(chunks.rows) if end is None else end)
        self._ahead: Iterator[_Rows] = iter(())
        self._rows: _Rows | None = None

    def close(self) -> None:
        self._ahead, self._rows = iter(()), None

    def scan(self) -> Iterator[Located]:
        if self._text is None:
            yield Located(0, 0, no_text(self._text_key, self._chunks.column_names))
            return
        if self._twice is not None:
            yield Located(0, 0, Fault("column twice", f"more than one column is named {self._twice!r}; rename them"))
            return
        for rows in self._from_chunks(self._range.start, self._range.stop):
            for offset in range(rows.first, rows.end):
                yield Located(offset + 1, offset, rows.record(offset))

    def at(self, offset: int) -> Record | Fault:
        chunk = bisect_right(self._first_rows, offset) - 1
        if chunk >= len(self._chunks.rows):
            raise Changed(f"it has no row {offset + 1}")
        rows = self._rows
        if rows is None or rows.chunk != chunk or offset < rows.first:
            self._ahead = self._from_chunks(chunk, chunk + 1)
            rows = next(self._ahead)
        while offset >= rows.end:
            rows = next(self._ahead)
        self._rows = rows
        return rows.record(offset)

    def _from_chunks(self, begin: int, end: int) -> Iterator[_Rows]:
        assert self._text is not None
        for chunk in range(begin, end):
            row = self._first_rows[chunk]
            for batch, damage in self._chunks.read(chunk, self._columns):
                yield _Rows(batch, damage, self._text, chunk, row)
                row += len(batch)


class _Rows:
    """Some rows in memory."""

    def __init__(self, batch: pa.RecordBatch, damage: str | None, text: str, chunk: int, first: int) -> None:
        self.chunk = chunk
        self.first, self.end = first, first + len(batch)
        self._text_name = text
        self._text: Callable[[int], memoryview | None] | Fault
        if damage is not None:
            self._text = Fault("damaged", damage)
            return
        self._text = _bytes_of(batch.column(text))
        self._columns = {name: Values(batch.column(name)) for name in batch.schema.names if name != text}

    def record(self, offset: int) -> Record | Fault:
        row = offset - self.first
        if isinstance(self._text, Fault):
            return self._text
        raw = self._text(row)
        if raw is None:
            return Fault("no text", f"{self._text_name!r} is null")
        if len(raw) > MAX_RECORD_BYTES:
            return too_large(len(raw))
        fields = {}
        for name, values in self._columns.items():
            try:
                fields[name] = values[row]
            except Unconvertible as error:
                return Fault("odd value", f"{name!r}: {error}")
        return Record(bytes(raw), fields)


def _bytes_of(column: pa.Array) -> Callable[[int], memoryview | None] | Fault:
    """The bytes of each row, without a copy; None where there are none."""
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
    data = memoryview(buffers[2] or b"")
    missing = wide.is_null().to_pylist() if wide.null_count else None

    def row(index: int) -> memoryview | None:
        return None if missing and missing[index] else data[offsets[index] : offsets[index + 1]]

    return row


class ParquetChunks:
    """A Parquet file by row groups."""

    def __init__(self, file: io.FileIO) -> None:
        """Raises ``pa.ArrowException`` if it is no Parquet."""
        self._file = pq.ParquetFile(_path_of(file))
        metadata = self._file.metadata
        self.column_names: list[str] = self._file.schema_arrow.names
        self.rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self.sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
        """Uncompressed bytes of each row group, other columns included."""

    def read(self, chunk: int, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, str | None]]:
        for batch in self._file.iter_batches(_ROWS_AT_ONCE, row_groups=[chunk], columns=columns, use_threads=False):
            yield batch, None  # Arrow made it, and checked what it read


class ArrowChunks:
    """An Arrow IPC file (Feather too) by record batches. Mapped: what is not read costs nothing."""

    def __init__(self, file: pa.MemoryMappedFile) -> None:
        """Raises ``pa.ArrowException`` if it is no Arrow file."""
        self._reader = pa.ipc.open_file(file)
        self.column_names: list[str] = self._reader.schema.names
        # Without columns, counting the rows of compressed batches decompresses nothing.
        counting = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=[]))
        self.rows = [counting.get_batch(number).num_rows for number in range(counting.num_record_batches)]

    def read(self, chunk: int, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, str | None]]:
        yield from checked(self._reader.get_batch(chunk).select(columns), _ROWS_AT_ONCE)


class StreamChunks:
    """An Arrow IPC stream, as ``datasets`` writes them: record batches one after another, mapped."""

    def __init__(self, file: pa.MemoryMappedFile) -> None:
        with pa.ipc.open_stream(file) as reader:
            self.column_names: list[str] = reader.schema.names
            self._batches = list(reader)
        self.rows = [len(batch) for batch in self._batches]

    def read(self, chunk: int, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, str | None]]:
        yield from checked(self._batches[chunk].select(columns), _ROWS_AT_ONCE)


def arrow_chunks(file: io.FileIO) -> ArrowChunks | StreamChunks:
    """By the first bytes, as Feather and ``datasets`` use one ending for both."""
    mapped = pa.memory_map(_path_of(file))
    magic = mapped.read(6)
    mapped.seek(0)
    return ArrowChunks(mapped) if magic == b"ARROW1" else StreamChunks(mapped)


def _path_of(file: io.FileIO) -> str:
    """Under which Arrow opens an open file: its own name may be no text, and means another in another locale."""
    return f"/dev/fd/{file.fileno()}"
