"""Column names and types of base and view files: the one place that spells them.

A type is a function of the view's maxima, never of the data, so that all shards of a dataset agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pcdata.errors import DatasetError

FORMAT_VERSION = 1

DOC_ID = "doc_id"
PATH = "path"
LANG = "lang"
SOURCE = "source"
PART_START = "part_start_bytes"
DOCUMENT_BYTES = "document_bytes"
RAW = "raw"
SYMBOLS = "symbols"
UNIT_BYTES = "unit_bytes"
UNIT_SYMBOLS = "unit_symbols"

DOC_ID_BYTES = 16
BLOCK_RAW_BYTES = 8_000_000
"""A record batch is closed when it holds this many raw bytes."""

BASE_SCHEMA = pa.schema(
    [
        (DOC_ID, pa.binary(DOC_ID_BYTES)),
        (PATH, pa.binary()),
        (LANG, pa.string()),
        (SOURCE, pa.string()),
        (PART_START, pa.uint64()),
        (DOCUMENT_BYTES, pa.uint64()),
        (RAW, pa.large_binary()),
    ]
)


@dataclass(frozen=True)
class ViewTypes:
    """What a codec promises about its symbols and units; the columns' integer types follow from it."""

    n_symbols: int
    """Symbols are 0 … n_symbols - 1."""
    max_unit_bytes: int
    """The most raw bytes that one unit stands for."""
    max_unit_symbols: int
    """The most symbols in one unit; 1 means that every unit is one symbol and ``unit_symbols`` is not stored."""

    @property
    def symbol_dtype(self) -> np.dtype[np.unsignedinteger]:
        return smallest_dtype(self.n_symbols - 1)

    @property
    def unit_bytes_dtype(self) -> np.dtype[np.unsignedinteger]:
        return smallest_dtype(self.max_unit_bytes)

    @property
    def unit_symbols_dtype(self) -> np.dtype[np.unsignedinteger] | None:
        return None if self.max_unit_symbols == 1 else smallest_dtype(self.max_unit_symbols)


def smallest_dtype(maximum: int) -> np.dtype[np.unsignedinteger]:
    """The smallest of uint8, uint16 and uint32 that holds ``maximum``."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if 0 <= maximum <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise DatasetError(f"no column type holds {maximum}; the largest is uint32")


def view_schema(types: ViewTypes) -> pa.Schema:
    """The schema of a view file."""
    columns = [
        (DOC_ID, pa.binary(DOC_ID_BYTES)),
        (SYMBOLS, pa.large_list(pa.from_numpy_dtype(types.symbol_dtype))),
        (UNIT_BYTES, pa.large_list(pa.from_numpy_dtype(types.unit_bytes_dtype))),
    ]
    if types.unit_symbols_dtype is not None:
        columns.append((UNIT_SYMBOLS, pa.large_list(pa.from_numpy_dtype(types.unit_symbols_dtype))))
    return pa.schema(columns)
