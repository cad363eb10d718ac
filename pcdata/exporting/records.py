"""Files of records: JSONL, which everything reads, and Parquet, which can hold text that is not UTF-8.

A record has the keys ``path``, ``lang`` and ``source``, the kept columns, and the text, under the names that
``pcdata build`` looks for.
"""

from __future__ import annotations

import json
import math
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pcdata.dataset import schema
from pcdata.dataset.schema import KEPT_TYPES, KeptColumn
from pcdata.exporting.whole import Whole, Writer

_GROUP_BYTES: Final = 32_000_000
"""A row group is written when it has this many raw bytes."""


class Sink(Protocol):
    def write(self, data: bytes, /) -> Any: ...


class JsonlWriter(Writer):
    """A line per document. Memory: one document."""

    def __init__(self, sink: Sink | BinaryIO, kept: list[KeptColumn], text_key: str) -> None:
        self._sink = sink
        self._kept = [column.name for column in kept]
        self._text_key = text_key

    def add(self, document: Whole) -> bool:
        try:
            text = document.raw().decode()
        except UnicodeDecodeError:
            return False
        first = document.first
        record = {
            schema.PATH: first.path.decode("utf-8", "backslashreplace"),
            schema.LANG: first.lang,
            schema.SOURCE: first.source,
            **{name: _json_value(first.kept(name)) for name in self._kept},
            self._text_key: text,
        }
        self._sink.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        return True


def _json_value(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class ParquetWriter(Writer):
    """A row per document, text and path as bytes. Memory: a row group."""

    def __init__(self, sink: Any, kept: list[KeptColumn], text_key: str) -> None:
        """``sink`` is a path or an open file."""
        self._kept = [column.name for column in kept]
        self._schema = pa.schema(
            [
                (schema.PATH, pa.binary()),
                (schema.LANG, pa.string()),
                (schema.SOURCE, pa.string()),
                *((column.name, KEPT_TYPES[column.type]) for column in kept),
                (text_key, pa.large_binary()),
            ]
        )
        self._file = pq.ParquetWriter(sink, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self._raw_bytes = 0

    def add(self, document: Whole) -> bool:
        first = document.first
        raw = document.raw()
        self._rows.append((first.path, first.lang, first.source, *map(first.kept, self._kept), raw))
        self._raw_bytes += len(raw)
        if self._raw_bytes >= _GROUP_BYTES:
            self.finish()
        return True

    def finish(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self._file.write_batch(pa.record_batch(list(map(list, columns)), schema=self._schema))
            self._rows, self._raw_bytes = [], 0

    def close(self) -> None:
        """Write the footer, also after an error, so that the file is not left open."""
        self._file.close()
