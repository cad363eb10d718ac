"""The language of a document, by its file name or, if that says nothing, by its ``#!`` line.

The table ``languages.tsv`` beside this file decides, ignoring case. A name is looked up whole, then by its last two
suffixes, then by its last one. A suffix that several languages use has one answer (``.h`` is C, ``.m`` Objective-C) or
none: nothing is guessed from content. Answers never change between releases, because the language is a column of
datasets: ``tools/languages.py`` adds to the table what GitHub's linguist knows, and changes no entry.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

UNKNOWN: Final = "unknown"

FIRST_LINE_BYTES: Final = 256
"""Bytes of a ``#!`` line that count: as many as Linux reads."""

_INTERPRETER: Final = re.compile(rb"#!\s*(?:\S*/)?(?:env\s+(?:(?:-\S*|\w+=\S*)\s+)*(?:\S*/)?)?([^\s/]+)")
"""``env`` may have options and variables before the name."""

_VERSION: Final = re.compile(r"-?[\d.]+$")


class Table(NamedTuple):
    """``languages.tsv``; all keys in lower case, suffixes without their first dot."""

    suffixes: dict[str, str]
    names: dict[str, str]
    interpreters: dict[str, str]


@cache
def table() -> Table:
    found = Table({}, {}, {})
    _, *lines = files("pcdata.inputs").joinpath("languages.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines:
        language, *columns = line.split("\t")
        for known, keys in zip(found, columns, strict=True):
            known.update(dict.fromkeys(keys.split(), language))
    return found


def languages() -> list[str]:
    """All names, sorted."""
    return sorted({language for known in table() for language in known.values()})


def language_of(path: bytes, begin: bytes = b"") -> str:
    """The language of a document with this path and beginning; ``unknown`` if the table does not say."""
    return _by_name(path.rpartition(b"/")[2].decode("utf-8", "replace").lower()) or _by_interpreter(begin) or UNKNOWN


def _by_name(name: str) -> str | None:
    suffixes, names, _ = table()
    _, *last = name.rsplit(".", 2)
    return names.get(name) or suffixes.get(".".join(last)) or suffixes.get("".join(last[-1:]))


def _by_interpreter(begin: bytes) -> str | None:
    """For ``#!/usr/bin/env -S python3.11 -I``: the language of ``python3.11`` or, if unknown, of ``python``."""
    found = _INTERPRETER.match(begin[:FIRST_LINE_BYTES].partition(b"\n")[0])
    if not found:
        return None
    name = found[1].decode("utf-8", "replace").lower()
    interpreters = table().interpreters
    return interpreters.get(name) or interpreters.get(_VERSION.sub("", name))
