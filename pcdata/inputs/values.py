"""Values of a table from outside: checked before they are used, and converted one by one if some fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from pcdata.inputs.whose_fault import one_line

_FAILURES: Final = (ValueError, OverflowError, KeyError, pa.ArrowException)
"""Raised for dates out of range, text in a list that is not UTF-8, unknown time zones, …"""

_AS_BYTES: Final = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}


class Unconvertible(Exception):
    """A value that Python cannot hold; the text says why."""


def is_text(kind: pa.DataType) -> bool:
    """Whether it is a string or binary type."""
    return kind in _AS_BYTES or kind in _AS_BYTES.values()


def checked(batch: pa.RecordBatch, rows_at_once: int) -> Iterator[tuple[pa.RecordBatch, str | None]]:
    """A batch mapped from a file, some rows at a time, and what is wrong with those.

    Without this check a wrong offset gives other bytes, or those of another row. Raises ``pa.ArrowInvalid`` if the
    batch is too small for the rows that it claims.
    """
    batch.validate()
    is_sound = _damage_of(batch) is None
    for begin in range(0, len(batch), rows_at_once):
        rows = batch.slice(begin, rows_at_once)
        yield rows, None if is_sound else _damage_of(rows)


def _damage_of(batch: pa.RecordBatch) -> str | None:
    """The result of Arrow's full check, except for whether text is UTF-8."""
    try:
        for column in batch.columns:
            _as_bytes(column).validate(full=True)
    except MemoryError:
        raise
    except pa.ArrowException as error:
        return one_line(error)
    return None


def _as_bytes(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _as_bytes(column.dictionary), safe=False)
    return column.view(_AS_BYTES[column.type]) if column.type in _AS_BYTES else column


def bytes_in(value: Any) -> int:
    """Approximate memory of a value; nothing for numbers."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return 64 * len(value) + sum(map(bytes_in, value)) if isinstance(value, list | tuple) else 0


class Values:
    """A column's values as Python objects. Text that is not UTF-8 becomes bytes."""

    def __init__(self, column: pa.Array) -> None:
        self._column = _in_microseconds(column)
        self._all: list[Any] | None = None
        # Rows may share one long value of a dictionary; times finer than microseconds depend on pandas.
        if not pa.types.is_dictionary(column.type) and not _has_nanoseconds(self._column.type):
            try:
                self._all = self._column.to_pylist()
            except MemoryError:
                raise
            except _FAILURES:
                pass

    def __getitem__(self, row: int) -> Any:
        """Raises ``Unconvertible``."""
        return self._all[row] if self._all is not None else _converted(self._column[row])


def _converted(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.DictionaryScalar):
        return _converted(scalar.value)
    scalar = _in_microseconds(scalar)
    try:
        return scalar.cast(pa.string()) if _has_nanoseconds(scalar.type) else scalar.as_py()
    except MemoryError:
        raise
    except _FAILURES as error:
        if is_text(scalar.type):
            return scalar.as_buffer().to_pybytes()
        raise Unconvertible(one_line(error)) from error


def _has_nanoseconds(kind: pa.DataType) -> bool:
    return pa.types.is_temporal(kind) and getattr(kind, "unit", None) == "ns"


def _in_microseconds(times: Any) -> Any:
    """An array or scalar converted to microseconds, which Python can hold; unchanged if finer, or not a time."""
    kind = times.type
    if not _has_nanoseconds(kind):
        return times
    coarser = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else None
    coarser = coarser or (pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"))
    try:
        return times.cast(coarser)
    except pa.ArrowInvalid:
        return times
