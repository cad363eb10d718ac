"""Columns of one record batch as numpy arrays, without a copy, and checked before use.

``BaseColumns`` holds the documents of a block, ``ViewColumns`` their symbols in one view; a codec also returns
``ViewColumns`` to the writer. Lists are stored as Arrow stores them: one flat array and offsets into it, so
document i is ``flat[offsets[i]:offsets[i + 1]]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from pcdata.dataset import schema
from pcdata.dataset.alignment import Alignment, alignment_of
from pcdata.errors import FormatError

Offsets = NDArray[np.int64]
Unsigned = NDArray[np.unsignedinteger]


def offsets_of(lengths: Sequence[int] | NDArray[np.integer[Any]]) -> Offsets:
    """Running sums with a leading 0: lengths of lists → offsets into their concatenated values."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


@dataclass(frozen=True, eq=False)
class ViewColumns:
    """The symbols and units of a batch of documents in one view."""

    symbols: Unsigned
    """All symbols, flat: uint8, uint16 or uint32."""
    symbol_offsets: Offsets
    """int64, one more than documents."""
    unit_bytes: Unsigned
    """Raw bytes of each unit, flat."""
    unit_symbols: Unsigned | None
    """Symbols of each unit, flat; None where every unit is one symbol."""
    unit_offsets: Offsets
    """int64, one more than documents; into unit_bytes and unit_symbols."""

    def __len__(self) -> int:
        return len(self.symbol_offsets) - 1

    def rows(self, first: int, end: int) -> ViewColumns:
        """A range of documents: views, except for the offsets, which start at 0 again."""
        symbols, units = self.symbol_offsets[first : end + 1], self.unit_offsets[first : end + 1]
        of_units = slice(units[0], units[-1])
        return ViewColumns(
            self.symbols[symbols[0] : symbols[-1]],
            symbols - symbols[0],
            self.unit_bytes[of_units],
            None if self.unit_symbols is None else self.unit_symbols[of_units],
            units - units[0],
        )

    def of_document(self, row: int) -> tuple[Unsigned, Unsigned, Unsigned | None]:
        """One document's symbols, and each unit's raw bytes and symbols: views, as ``Codec.decode`` takes them."""
        return self.symbols_of(row), self.unit_bytes_of(row), self.unit_symbols_of(row)

    def symbols_of(self, row: int) -> Unsigned:
        """The symbols of one document: a view, not a copy."""
        return self.symbols[self.symbol_offsets[row] : self.symbol_offsets[row + 1]]

    def unit_bytes_of(self, row: int) -> Unsigned:
        """Raw bytes of each unit of one document: a view, not a copy."""
        return self.unit_bytes[self.unit_offsets[row] : self.unit_offsets[row + 1]]

    def unit_symbols_of(self, row: int) -> Unsigned | None:
        """Symbols of each unit of one document (a view, not a copy); None where every unit is one symbol."""
        if self.unit_symbols is None:
            return None
        return self.unit_symbols[self.unit_offsets[row] : self.unit_offsets[row + 1]]

    def alignment_of(self, row: int) -> Alignment:
        """The absolute alignment points of one document, unchecked."""
        return alignment_of(self.unit_bytes_of(row), self.unit_symbols_of(row))


class MetadataColumns:
    """Arrow columns by name, each checked on first use: a wrong offset would make Arrow read memory outside the
    file."""

    def __init__(self, batch: pa.RecordBatch, where: str) -> None:
        self._batch, self._where = batch, where
        self._columns: dict[str, pa.Array] = {}

    @property
    def names(self) -> list[str]:
        names: list[str] = self._batch.schema.names
        return names

    def __getitem__(self, name: str) -> pa.Array:
        """Raises ``FormatError`` if its offsets are wrong, or its text is not UTF-8; ``KeyError`` if there is none."""
        column = self._columns.get(name)
        if column is None:
            column = self._batch.column(name)
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                raise FormatError(self._where, f"column {name}: {' '.join(str(error).split())}") from error
            self._columns[name] = column
        return column


@dataclass(frozen=True, eq=False)
class BaseColumns:
    """The documents of one block."""

    doc_ids: NDArray[np.uint8]
    """[documents, 16]"""
    raw: NDArray[np.uint8]
    """All raw bytes, flat."""
    raw_offsets: Offsets
    """int64, one more than documents."""
    part_starts: NDArray[np.uint64]
    """Where in its input document each row begins; 0 for a document that was not cut."""
    document_bytes: NDArray[np.uint64]
    """The length of the whole input document; the row that ends it begins this much minus its own length into it."""
    metadata: MetadataColumns
    """Columns that are read one at a time: path, lang, source and kept ones."""

    def __len__(self) -> int:
        return len(self.raw_offsets) - 1

    def raw_of(self, row: int) -> NDArray[np.uint8]:
        """The raw bytes of one document: a read-only view of the mapped file, not a copy."""
        return self.raw[self.raw_offsets[row] : self.raw_offsets[row + 1]]

    def value(self, column: str, row: int) -> Any:
        """One value of a metadata column, as Python (a copy)."""
        return self.metadata[column][row].as_py()


def base_columns(batch: pa.RecordBatch, where: str) -> BaseColumns:
    """Map a batch of a base file (``ArrowFile``). Raises ``FormatError`` naming ``where`` if offsets violate the
    format."""
    _check_no_nulls(batch, schema.BASE_SCHEMA.names, where)
    raw = batch.column(schema.RAW)
    _, offsets_buffer, data = raw.buffers()
    offsets = _integers(offsets_buffer, np.int64, len(batch) + 1, f"{where}, column raw")
    bytes_ = _integers(data, np.uint8, None, f"{where}, column raw")
    _check_offsets(offsets, len(bytes_), f"{where}, column raw")
    ids = _integers(batch.column(schema.DOC_ID).buffers()[1], np.uint8, len(batch) * schema.DOC_ID_BYTES, where)
    starts, wholes = (
        _integers(batch.column(name).buffers()[1], np.uint64, len(batch), where)
        for name in (schema.PART_START, schema.DOCUMENT_BYTES)
    )
    metadata = MetadataColumns(batch, where)
    return BaseColumns(ids.reshape(-1, schema.DOC_ID_BYTES), bytes_, offsets, starts, wholes, metadata)


def view_columns(batch: pa.RecordBatch, types: schema.ViewTypes, where: str) -> ViewColumns:
    """Map a batch of a view's file. Raises ``FormatError`` naming ``where`` likewise."""
    _check_no_nulls(batch, batch.schema.names, where)
    symbols, symbol_offsets = _list_column(batch, schema.SYMBOLS, types.symbol_dtype, where)
    unit_bytes, unit_offsets = _list_column(batch, schema.UNIT_BYTES, types.unit_bytes_dtype, where)
    unit_symbols = None
    if types.unit_symbols_dtype is not None:
        unit_symbols, offsets = _list_column(batch, schema.UNIT_SYMBOLS, types.unit_symbols_dtype, where)
        if not np.array_equal(offsets, unit_offsets):
            raise FormatError(where, "unit_symbols and unit_bytes differ in length")
    elif not np.array_equal(symbol_offsets, unit_offsets):
        raise FormatError(where, "symbols and unit_bytes differ in length")
    return ViewColumns(symbols, symbol_offsets, unit_bytes, unit_symbols, unit_offsets)


def _check_no_nulls(batch: pa.RecordBatch, names: list[str], where: str) -> None:
    for name in names:
        if batch.column(name).null_count:
            raise FormatError(where, f"column {name} has nulls")


def _list_column(batch: pa.RecordBatch, name: str, dtype: np.dtype[Any], where: str) -> tuple[Unsigned, Offsets]:
    column = batch.column(name)
    buffers = column.buffers()
    offsets = _integers(buffers[1], np.int64, len(batch) + 1, f"{where}, column {name}")
    values = _integers(buffers[3], dtype, None, f"{where}, column {name}")[: len(column.values)]
    if column.values.null_count:
        raise FormatError(where, f"column {name} has nulls")
    _check_offsets(offsets, len(values), f"{where}, column {name}")
    return values, offsets


def _integers(buffer: pa.Buffer | None, kind: DTypeLike, length: int | None, where: str) -> NDArray[Any]:
    """A numpy view of a buffer: of ``length`` items, or of all items."""
    dtype = np.dtype(kind)
    if buffer is None:
        if length:
            raise FormatError(where, "a buffer is missing")
        return np.zeros(0, dtype)
    held = buffer.size // dtype.itemsize
    if length is not None and held < length:
        raise FormatError(where, f"a buffer holds {held} values, {length} expected")
    return np.frombuffer(buffer, dtype, count=held if length is None else length)


def _check_offsets(offsets: Offsets, limit: int, where: str) -> None:
    if len(offsets) and (offsets[0] != 0 or offsets[-1] > limit or (offsets[1:] < offsets[:-1]).any()):
        raise FormatError(where, "offsets are not rising or leave the column")
