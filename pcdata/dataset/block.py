"""Documents of one record batch, and the batches of the base file and of a view file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.columns import ViewColumns, offsets_of
from pcdata.dataset.identity import doc_id_of


class Metadata(NamedTuple):
    """A document's columns in the base file, except its bytes."""

    path: bytes
    lang: str
    source: str
    kept: tuple[Any, ...] = ()
    """A value for each kept column (``--keep``); None if the input has none."""

    @property
    def size(self) -> int:
        """Bytes of its texts in a base file."""
        texts = (value for value in (self.lang, self.source, *self.kept) if isinstance(value, str))
        return len(self.path) + sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


@dataclass
class Block:
    doc_ids: bytes
    """16 bytes each, concatenated."""
    raw: list[bytes] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """Where each begins in its input document."""
    document_bytes: list[int] = field(default_factory=list)
    """Of the whole input document."""

    @property
    def raw_bytes(self) -> int:
        return sum(map(len, self.raw))

    @classmethod
    def of(cls, raw: Sequence[bytes], metadata: Sequence[Metadata]) -> Block:
        """Whole documents."""
        lengths = [len(document) for document in raw]
        return cls(b"".join(map(doc_id_of, raw)), [*raw], [*metadata], [0] * len(raw), lengths)


def base_batch(block: Block, kept: Sequence[schema.KeptColumn] = ()) -> pa.RecordBatch:
    """One batch of the base file; copies the raw bytes once."""
    offsets = offsets_of([len(document) for document in block.raw])
    raw_column = pa.Array.from_buffers(
        pa.large_binary(), len(block.raw), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(block.raw))]
    )
    metadata = block.metadata
    columns = [
        _doc_ids(block.doc_ids),
        pa.array([one.path for one in metadata], pa.binary()),
        pa.array([one.lang for one in metadata], pa.string()),
        pa.array([one.source for one in metadata], pa.string()),
        pa.array(np.asarray(block.starts, np.uint64)),
        pa.array(np.asarray(block.document_bytes, np.uint64)),
        *(
            pa.array([one.kept[place] for one in metadata], schema.KEPT_TYPES[column.type])
            for place, column in enumerate(kept)
        ),
        raw_column,
    ]
    return pa.record_batch(columns, schema=schema.base_schema(kept))


def view_batch(doc_ids: bytes, columns: ViewColumns, types: schema.ViewTypes) -> pa.RecordBatch:
    """One batch of a view file, row-aligned with the base batch of the same ``doc_ids``. Copies only to narrow."""
    arrays = [
        _doc_ids(doc_ids),
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


def _doc_ids(doc_ids: bytes) -> pa.Array:
    count = len(doc_ids) // schema.DOC_ID_BYTES
    return pa.Array.from_buffers(pa.binary(schema.DOC_ID_BYTES), count, [None, pa.py_buffer(doc_ids)])
