"""How settings are declared, checked, named and merged. ``config`` lists them.

A setting is a field of a frozen dataclass, made by ``setting``, with its default, its range, and whether a resume may
change it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from pcdata.errors import likeliest
from pctrain.errors import ConfigError

Layer: TypeAlias = str | Mapping[str, Any]
"""Some settings: ``section.name=value`` as typed, or tables."""


@dataclass(frozen=True)
class Rule:
    """What a setting's value must be; in a table (``dict``), each value."""

    least: float | None = None
    above: float | None = None
    """Exclusive."""
    most: float | None = None
    below: float | None = None
    """Exclusive."""
    choices: Sequence[str] = ()
    fixed: bool = False
    """A resume may not change it, because it decides what the weights or the cursor mean."""

    def check(self, name: str, value: Any) -> None:
        """Raises ``ConfigError`` with the value and what is allowed."""
        if isinstance(value, dict):
            for key, item in value.items():
                self.check(f"{name}.{key}", item)
        elif (self.choices and value not in self.choices) or (type(value) in (int, float) and not self._allows(value)):
            raise ConfigError(f"{name} must be {self.allowed}, got {value!r}")

    @property
    def allowed(self) -> str:
        """The values, for users; empty if all are allowed."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {bound:,}" for word, bound in bounds.items() if bound is not None)

    def _allows(self, value: float) -> bool:
        """False for nan, since comparisons with it are false, and for infinities."""
        return (
            (self.least is None or self.least <= value < math.inf)
            and (self.above is None or self.above < value < math.inf)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


def setting(default: Any, **rule: Any) -> Any:
    """A field of a ``Section``; ``rule`` as in ``Rule``."""
    metadata = {"rule": Rule(**rule)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Section:
    """Base of frozen dataclasses whose fields are settings: one table of the TOML file."""

    section: ClassVar[str]
    """Name in files, in ``--set`` and in errors."""

    fixed: ClassVar[bool]
    """Whether a resume may change nothing in it."""

    def __init_subclass__(cls, section: str, fixed: bool = False) -> None:
        cls.section, cls.fixed = section, fixed

    def __post_init__(self) -> None:
        for name, rule in rules(type(self)):
            rule.check(f"{self.section}.{name}", getattr(self, name))


def rules(section: Any) -> Iterator[tuple[str, Rule]]:
    """The rule of each setting of a section, by name."""
    for field in dataclasses.fields(section):
        rule: Rule = field.metadata["rule"]
        yield field.name, dataclasses.replace(rule, fixed=True) if section.fixed else rule


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"model": {"width": 8}}`` as ``{"model.width": 8}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        found |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return found


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables, merged recursively; values of ``high`` win."""
    result = dict(low)
    for key, value in high.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def parsed(text: str) -> dict[str, Any]:
    """``section.name=value`` of ``--set``; the value is JSON or, failing that, text."""
    from pcdata.dataset.json_files import parse_json_text  # imports numpy, which pctrain --help must not load

    key, equals, written = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: expected section.name=value")
    try:
        value = parse_json_text(written)
    except (ValueError, RecursionError):
        value = written
    return nested(key, value)


def nested(name: str, value: Any) -> dict[str, Any]:
    """``model.width`` and 8 as ``{"model": {"width": 8}}``."""
    for part in reversed(name.split(".")):
        value = {part: value}
    found: dict[str, Any] = value
    return found


def current(values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Settings under their current names; ``renamed`` maps earlier names to them. Raises ``ConfigError`` for a setting
    that has both."""
    result: dict[str, dict[str, Any]] = {}
    tables = {section: table for section, table in values.items() if isinstance(table, Mapping)}
    for section, table in tables.items():
        for name, value in table.items():
            given = f"{section}.{name}"
            place, _, key = renamed.get(given, given).partition(".")
            if key in result.setdefault(place, {}):
                raise ConfigError(f"{place}.{key} is given twice, once under an earlier name; leave out one")
            result[place][key] = value
    return {**result, **{section: value for section, value in values.items() if section not in tables}}


def check_names(values: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises ``ConfigError`` for an unknown section or setting, suggesting similar names."""
    names = [*known]
    sections = dict.fromkeys(name.partition(".")[0] for name in names)
    for section, table in values.items():
        if section not in sections:
            raise ConfigError(f"unknown setting {section}; {_meant(section, names, sections)}")
        if not isinstance(table, Mapping):
            raise ConfigError(f"{section} must be a section of settings, got {table!r}")
        for name in table:
            if (key := f"{section}.{name}") not in names:
                inside = [each.removeprefix(f"{section}.") for each in names if each.startswith(f"{section}.")]
                raise ConfigError(f"unknown setting {key}; {_meant(key, names, inside)}")


def _meant(given: str, names: Sequence[str], known: Iterable[str]) -> str:
    last = given.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    close = " or ".join(same) or likeliest(given, names)
    return f"did you mean {close}?" if close else f"known here: {', '.join(known)}"
