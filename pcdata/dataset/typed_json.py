"""Parsed JSON as the dataclasses that it was made from, refusing whatever does not fit their types."""

from __future__ import annotations

import dataclasses
import functools
import reprlib
import types
import typing
from typing import Any, Final

from pcdata.errors import DatasetError

MOST_NESTED: Final = 16
"""How deep a value may be nested where the type leaves it open (``Any``)."""

_type_hints = functools.cache(typing.get_type_hints)
"""To work them out anew for each shard would be half of the time that reading a manifest takes."""


def typed(kind: Any, value: Any) -> Any:
    """``value`` as a ``kind``: a dataclass (an object of its fields, no more and no less), ``tuple[X, ...]``,
    ``dict[str, X]``, ``X | None``, ``Any``, or a plain type. Raises ``DatasetError``, as the dataclasses do."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _type_hints(kind)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise DatasetError(f"{kind.__name__} has other fields than it should have, or is none")
        return kind(**{name: typed(hint, value[name]) for name, hint in hints.items()})
    if origin is tuple and isinstance(value, list):
        return tuple(typed(arguments[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {typed(str, key): typed(arguments[1], item) for key, item in value.items()}
    if origin is types.UnionType:
        return None if value is None else typed(arguments[0], value)
    if kind is Any:
        _check_open(value, 0)
        return value
    if kind in (str, int, bool) and type(value) is kind:  # True is no number
        if kind is str:
            _check_text(value)
        return value
    raise DatasetError(f"found {reprlib.repr(value)} where there is {getattr(kind, '__name__', kind)}")


def _check_open(value: Any, depth: int) -> None:
    if depth > MOST_NESTED:
        raise DatasetError(f"a value is nested deeper than {MOST_NESTED}")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_open(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_open(item, depth + 1)


def _check_text(value: str) -> None:
    """JSON can write half of a surrogate pair, which is no text and cannot be printed or written again."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DatasetError(f"{reprlib.repr(value)!a} is no text") from None
