"""Parsed JSON → dataclasses, refusing anything that does not fit their types."""

from __future__ import annotations

import dataclasses
import functools
import reprlib
import sys
import types
import typing
from typing import Any, Final

from pcdata.errors import DatasetError

MOST_NESTED: Final = 16
"""Levels of nesting allowed where the type leaves a value open (``Any``)."""

_PLAIN: Final[dict[Any, str]] = {
    dict: "a table",
    list: "a list",
    tuple: "a list",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


@functools.cache
def _type_hints(kind: type[Any]) -> dict[str, Any]:
    """Of a dataclass's fields. To work them out anew for each shard would be half of the time that reading a manifest
    takes."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def typed(kind: Any, value: Any, at: str = "", *, partial: bool = False) -> Any:
    """``value`` as a ``kind``: a dataclass (an object of its fields and no others; ``partial``: missing ones have
    their defaults), ``tuple[X, ...]``, ``tuple[X, Y]``, ``list[X]``, ``dict[str, X]``, ``X | None``, ``Any``, or a
    plain type.

    Raises ``DatasetError``, as the dataclasses do; its message begins with the place of the value, below ``at``.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _type_hints(kind)
        if not isinstance(value, dict) or value.keys() - hints.keys() or (not partial and hints.keys() - value.keys()):
            raise DatasetError(f"{at or kind.__name__} has other fields than it should have, or is none")
        made = {name: typed(hints[name], item, _below(at, name), partial=partial) for name, item in value.items()}
        return kind(**made)
    if origin in (tuple, list) and isinstance(value, list | tuple):
        kinds = arguments if origin is tuple and ... not in arguments else arguments[:1] * len(value)
        if len(kinds) == len(value):
            return origin(typed(each, item, at) for each, item in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {typed(str, key, at): typed(arguments[1], item, _below(at, key)) for key, item in value.items()}
    if origin is types.UnionType:
        return None if value is None else typed(arguments[0], value, at)
    if kind is Any:
        _check_open(value, 0)
        return value
    if kind in (str, int, bool, float) and type(value) is kind:  # True is not an int here
        if kind is str:
            _check_text(value)
        return value
    if kind is float and type(value) is int and value.bit_length() < sys.float_info.max_exp:
        return float(value)
    expected = _PLAIN.get(origin or kind) or getattr(kind, "__name__", kind)
    raise DatasetError(f"{at or 'the value'} must be {expected}, got {reprlib.repr(value)}")


def _below(at: str, name: Any) -> str:
    return f"{at}.{name}" if at else str(name)


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
    """JSON can contain half of a surrogate pair, which cannot be printed or written again."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DatasetError(f"{reprlib.repr(value)!a} is no text") from None
