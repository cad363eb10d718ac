"""Parquet and Arrow: a record per row. A row's offset is its number in the file.

Both are read chunk by chunk: a Parquet row group, or an Arrow record batch. A large file is split into ranges of
chunks. Text is any type of string or bytes, taken as the bytes that are there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Protocol

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

_ROWS_AT_ONCE = 256


class Chunks(Protocol):
    """A table in pieces."""

    column_names: list[str]
    rows: list[int]
    """Of each chunk."""

    def read(self, chunk: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The rows of a chunk, some at a time."""


class TableFile:
    """Chunks ``begin`` … ``end - 1`` of a table; ``end`` None: to the last. Columns outside ``wanted`` are not read."""

    def __init__(self, chunks: Chunks, text_key: str, wanted: set[str], begin: int = 0, end: int | None = None) -> None:
        self._chunks = chunks
        self._text_key = text_key
        self._text = next((key for key in keys_of(text_key) if key in chunks.column_names), None)
        self._columns = [name for name in chunks.column_names if name == self._text or name in wanted]
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
            for batch in self._chunks.read(chunk, self._columns):
                yield _Rows(batch, self._text, chunk, row)
                row += len(batch)


class _Rows:
    """Some rows in memory."""

    def __init__(self, batch: pa.RecordBatch, text: str, chunk: int, first: int) -> None:
        self.chunk = chunk
        self.first, self.end = first, first + len(batch)
        self._names = [name for name in batch.schema.names if name != text]
        self._values = [batch.column(name).to_pylist() for name in self._names]
        self._text_name = text
        self._text = _bytes_of(batch.column(text))

    def record(self, offset: int) -> Record | Fault:
        row = offset - self.first
        if isinstance(self._text, Fault):
            return self._text
        raw = self._text(row)
        if raw is None:
            return Fault("no text", f"{self._text_name!r} is null")
        if len(raw) > MAX_RECORD_BYTES:
            return too_large(len(raw))
        return Record(bytes(raw), dict(zip(self._names, (values[row] for values in self._values), strict=True)))


def _bytes_of(column: pa.Array) -> Callable[[int], memoryview | None] | Fault:
    """The bytes of each row, without a copy; None where there are none."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    if not is_text and not is_bytes:
        return Fault("text is not a string", f"the column holds {kind}")
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

    def __init__(self, file: Any) -> None:
        """``file`` is open, or a path. Raises ``pa.ArrowException`` if it is no Parquet."""
        self._file = pq.ParquetFile(file)
        metadata = self._file.metadata
        self.column_names: list[str] = self._file.schema_arrow.names
        self.rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self.sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
        """Uncompressed bytes of each row group, other columns included."""

    def read(self, chunk: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(_ROWS_AT_ONCE, row_groups=[chunk], columns=columns, use_threads=False)


class ArrowChunks:
    """An Arrow IPC file (Feather too) by record batches. Mapped: what is not read costs nothing."""

    def __init__(self, file: Any) -> None:
        """``file`` is open, or a path. Raises ``pa.ArrowException`` if it is no Arrow file."""
        self._reader = pa.ipc.open_file(file)
        self.column_names: list[str] = self._reader.schema.names
        # Without columns, counting the rows of compressed batches decompresses nothing.
        counting = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=[]))
        self.rows = [counting.get_batch(number).num_rows for number in range(counting.num_record_batches)]

    def read(self, chunk: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from _slices(self._reader.get_batch(chunk).select(columns))


class StreamChunks:
    """An Arrow IPC stream, as ``datasets`` writes them: record batches one after another, mapped."""

    def __init__(self, file: Any) -> None:
        with pa.ipc.open_stream(file) as reader:
            self.column_names: list[str] = reader.schema.names
            self._batches = list(reader)
        self.rows = [len(batch) for batch in self._batches]

    def read(self, chunk: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from _slices(self._batches[chunk].select(columns))


def arrow_chunks(file: pa.MemoryMappedFile) -> ArrowChunks | StreamChunks:
    """By the first bytes of a mapped file, as Feather and ``datasets`` use one ending for both."""
    magic = file.read(6)
    file.seek(0)
    return ArrowChunks(file) if magic == b"ARROW1" else StreamChunks(file)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for begin in range(0, len(batch), _ROWS_AT_ONCE):
        yield batch.slice(begin, _ROWS_AT_ONCE)
