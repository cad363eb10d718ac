"""Column names and types of base and view files, spelled only here.

A type is a function of the view's maxima, never of the data, so that all shards of a dataset agree.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


KEPT_TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
"""Possible types of kept columns."""


@dataclass(frozen=True)
class KeptColumn:
    """A metadata column kept from the input. Values may be missing."""

    name: str
    type: str
    """A key of ``KEPT_TYPES``."""

    @classmethod
    def parse(cls, text: str) -> KeptColumn:
        """``NAME`` (a string) or ``NAME:TYPE``. Raises ``ValueError`` with a sentence."""
        name, colon, type_ = text.rpartition(":")
        name, type_ = (name, type_) if colon else (text, "string")
        if type_ not in KEPT_TYPES:
            raise ValueError(f"{type_!r} is no type; known: {', '.join(KEPT_TYPES)}")
        if not name or name in BASE_SCHEMA.names:
            raise ValueError(f"{name!r} cannot be the name; the base files have {', '.join(BASE_SCHEMA.names)} anyway")
        return cls(name, type_)

    def __str__(self) -> str:
        return f"{self.name}:{self.type}"

    def converted(self, value: Any) -> Any:
        """A value of the input converted to the column's type; in a column of strings, other values become JSON. Raises
        ``ValueError``, ``TypeError`` or ``OverflowError`` if that is impossible."""
        if value is None:
            return None
        if self.type == "string":
            if isinstance(value, bytes):
                return value.decode("utf-8", "backslashreplace")
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            return text.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, bool) != (self.type == "bool") or not isinstance(value, int | float):
            raise TypeError(repr(value))
        if self.type == "int64":
            if value != int(value) or not -(2**63) <= value < 2**63:
                raise ValueError(repr(value))
            return int(value)
        return value if self.type == "bool" else float(value)


def base_schema(kept: Sequence[KeptColumn]) -> pa.Schema:
    """The schema of a base file: kept columns come before ``raw``."""
    fields = list(BASE_SCHEMA)
    return pa.schema([*fields[:-1], *((column.name, KEPT_TYPES[column.type]) for column in kept), fields[-1]])


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
