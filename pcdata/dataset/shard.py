"""Writing one Arrow file so that it is either there whole, or not there.

A file is written under a temporary name, synced, hashed, renamed, and its folder synced.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.files import naming, replacing, sync, temporary_name
from pcdata.dataset.manifest import FileEntry
from pcdata.dataset.names import inside


class ShardWriter:
    """Writes record batches of one schema into ``root/relative``; ``finish`` makes the file appear."""

    def __init__(self, root: Path, relative: str, shape: pa.Schema) -> None:
        self._root = root
        self._relative = relative
        path = inside(root, relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary_name(path)
        self._temporary.touch(exist_ok=False)
        self._sink = pa.OSFile(str(self._temporary), "wb")
        self._writer = pa.ipc.new_file(self._sink, shape)

    def write(self, batch: pa.RecordBatch) -> None:
        with naming(self._root / self._relative):
            self._writer.write_batch(batch)

    def finish(self) -> FileEntry:
        """Close, sync, hash, rename. The entry describes the file as it lies on disk."""
        with naming(self._root / self._relative):
            self._writer.close()
            self._sink.close()
        return commit_file(self._temporary, self._root, self._relative)

    def abandon(self) -> None:
        """Close and remove the temporary file."""
        self._sink.close()
        self._temporary.unlink(missing_ok=True)


def base_batch(
    doc_ids: bytes,
    paths: Sequence[bytes],
    langs: Sequence[str],
    sources: Sequence[str],
    starts: Sequence[int],
    document_bytes: Sequence[int],
    raw: Sequence[bytes],
    kept: Mapping[schema.KeptColumn, Sequence[Any]] | None = None,
) -> pa.RecordBatch:
    """One batch of the base file; ``doc_ids`` are 16 bytes a document, end to end. Copies ``raw`` once."""
    kept = kept or {}
    offsets = np.zeros(len(raw) + 1, np.int64)
    np.cumsum([len(document) for document in raw], out=offsets[1:])
    ids = pa.Array.from_buffers(pa.binary(schema.DOC_ID_BYTES), len(raw), [None, pa.py_buffer(doc_ids)])
    raw_column = pa.Array.from_buffers(
        pa.large_binary(), len(raw), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(raw))]
    )
    columns = [
        ids,
        pa.array(paths, pa.binary()),
        pa.array(langs, pa.string()),
        pa.array(sources, pa.string()),
        pa.array(np.asarray(starts, np.uint64)),
        pa.array(np.asarray(document_bytes, np.uint64)),
        *(pa.array(values, schema.KEPT_TYPES[column.type]) for column, values in kept.items()),
        raw_column,
    ]
    return pa.record_batch(columns, schema=schema.base_schema([*kept]))


def view_batch(doc_ids: bytes, columns: ViewColumns, types: schema.ViewTypes) -> pa.RecordBatch:
    """One batch of a view file, row-aligned with the base batch of the same ``doc_ids``. Copies only to narrow."""
    ids = pa.Array.from_buffers(pa.binary(schema.DOC_ID_BYTES), len(columns), [None, pa.py_buffer(doc_ids)])
    arrays = [
        ids,
        _large_list(columns.symbols, columns.symbol_offsets, types.symbol_dtype),
        _large_list(columns.unit_bytes, columns.unit_offsets, types.unit_bytes_dtype),
    ]
    if types.unit_symbols_dtype is not None:
        assert columns.unit_symbols is not None
        arrays.append(_large_list(columns.unit_symbols, columns.unit_offsets, types.unit_symbols_dtype))
    return pa.record_batch(arrays, schema=schema.view_schema(types))


def _large_list(
    values: NDArray[np.unsignedinteger], offsets: NDArray[np.int64], dtype: np.dtype[np.unsignedinteger]
) -> pa.LargeListArray:
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(values, dtype)))


def commit_file(temporary: Path, root: Path, relative: str) -> FileEntry:
    """Sync, hash and rename a finished temporary file to ``root/relative``, then sync the folder."""
    path = inside(root, relative)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.fstat(file.fileno()).st_size
    temporary.replace(path)
    sync(path.parent)
    return FileEntry(relative, size, digest)


def write_file(root: Path, relative: str, data: bytes) -> FileEntry:
    """Write a small file whole, with the same promise as ``ShardWriter``."""
    path = inside(root, relative)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
    sync(path.parent)
    return FileEntry(relative, len(data), hashlib.sha256(data).hexdigest())
