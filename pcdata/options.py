"""An option: a field of a frozen dataclass with its allowed values and its text in ``--help``.

A dataclass of options is a section of the help; larger dataclasses contain sections. Options from a command line, a
``--config`` file or keyword arguments are flat: ``made_from`` puts each value into its section. ``--help`` reads these
fields, so nothing slow is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from pcdata.errors import OptionError
from pcdata.machine import cores

_KEY: Final = "option"

MOST_WORKERS: Final = 100_000

_NO_UTF_8: Final = re.compile("[\ud800-\udfff]")
"""What a command line has for a byte that is not UTF-8: half of a surrogate pair."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Option:
    """What is known about an option besides its name, type and default."""

    help: str
    flag: str = ""
    """Its name on the command line, without dashes; empty: the field's name."""
    short: str = ""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    """Allowed values."""
    more: bool = False
    """Whether a colon and more may follow a choice; the dataclass checks that."""
    least: int = 0
    most: int = 1 << 62
    """Largest whole number, inclusive."""


def option(default: Any, help: str, **more: Any) -> Any:
    """A field that is an option. Its type is that of the default; () stands for a list of texts, None for an optional
    path."""
    return field(default=default, metadata={_KEY: Option(help, **more)})


def options_in(kind: type) -> Iterator[tuple[type, Field[Any], Option]]:
    """The options of a dataclass and of its sections, each with the section that it is in."""
    for one in fields(kind):
        if one.default_factory is not MISSING:
            yield from options_in(_section(one))
        elif _KEY in one.metadata:
            yield kind, one, one.metadata[_KEY]


def flag_of(one: Field[Any]) -> str:
    """The option's name on the command line."""
    return "--" + (one.metadata[_KEY].flag or one.name.replace("_", "-"))


def made_from(kind: type[Made], flat: Mapping[str, Any]) -> Made:
    """A dataclass and its sections from values by field name. Raises ``TypeError`` for unknown names."""
    left = dict(flat)
    made = _taken(kind, left)
    if left:
        raise TypeError(f"there is no option {', '.join(left)}")
    return made


def _taken(kind: type[Made], left: dict[str, Any]) -> Made:
    values = {
        one.name: _taken(_section(one), left) if one.default_factory is not MISSING else _converted(one, left)
        for one in fields(kind)  # type: ignore[arg-type]
        if one.default_factory is not MISSING or one.name in left
    }
    return kind(**values)


def _section(one: Field[Any]) -> type[Any]:
    assert isinstance(one.default_factory, type), one
    return one.default_factory


def _converted(one: Field[Any], left: dict[str, Any]) -> Any:
    """Remove a value from ``left`` and convert it: a list to a tuple, a text to a path."""
    value = left.pop(one.name)
    if one.default == () and isinstance(value, str):
        raise OptionError(f"{one.name} must be a list of texts, such as [{value!r}]")
    if one.default == () and isinstance(value, list):
        return tuple(value)
    return Path(value) if one.default is None and value is not None else value


def check_options(options: Any) -> None:
    """For ``__post_init__``: ``check_option`` of each."""
    for one in fields(options):
        if _KEY in one.metadata:
            check_option(one, getattr(options, one.name))


def check_option(one: Field[Any], value: Any) -> None:
    """Raise ``OptionError`` for a choice or a whole number that is not allowed, and for text that is not UTF-8, which
    no manifest may hold."""
    known: Option = one.metadata[_KEY]
    for text in value if one.default == () else [value]:
        if isinstance(text, str) and _NO_UTF_8.search(text):
            raise OptionError(f"{flag_of(one)} {text!r} is not UTF-8; in a glob, ? stands for such a byte")
    if known.choices:
        require_choice(flag_of(one), value.partition(":")[0] if known.more else value, known.choices)
    elif type(one.default) is int:
        require_range(flag_of(one), value, known.least, known.most)


def at_once(workers: int) -> int:
    """The number of tasks at once; 0 stands for one per core. Raises ``OptionError``."""
    require_range("workers", workers, 0, MOST_WORKERS)
    return workers or cores()


def require_range(name: str, value: int, low: int, high: int) -> None:
    """For ``__post_init__`` of parameters: raise ``OptionError`` unless low ≤ value ≤ high."""
    if not low <= value <= high:
        raise OptionError(f"{name} must be {low} … {high}, got {value}")


def require_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """For ``__post_init__`` of parameters: raise ``OptionError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise OptionError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
