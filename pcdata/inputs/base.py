"""What a file of records is to the build, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from pcdata.errors import InputError

MAX_RECORD_BYTES: Final = 1 << 28
"""A larger record is a reject: it would be in memory several times over while it is read."""

MOST_EXPANSION: Final = 10_000
"""How many bytes the records of a file may have for each of its own. No text is compressed so well: a file of some
kilobytes that says the same record a billion times is made to fill disks."""

LEAST_EXPANDED_BYTES: Final = 1 << 30
"""So many bytes the records of any file may have."""

RECORD_BYTES: Final = 1_000
"""What any record counts, besides its bytes: a reject and a digest are written down of it."""

TEXT_KEYS: Final = ("text", "content", "code")
"""Where a record's text is, unless ``--text-key`` says: the first of these that it has."""


@dataclass(frozen=True)
class Record:
    """One document with what its file says of it."""

    raw: bytes
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """A place where a record should be, and why it is none."""

    reason: str
    detail: str


class Located(NamedTuple):
    """A record or fault, and where it was."""

    position: int
    """For people, from 1: a line, a row, a member. Of JSONL that is read from the middle: from there on."""
    offset: int
    """For the file: its byte, its row, its member; what ``RecordFile.at`` is told."""
    found: Record | Fault


class RecordFile(Protocol):
    """One input file, or the part of it that a scan task has. What it raises, ``whose_fault.reading`` understands."""

    def scan(self) -> Iterator[Located]:
        """All records in order. Memory: a few of them."""

    def at(self, offset: int) -> Record | Fault:
        """A record again. Asked for once each, in the order of ``scan``, from any of them on, each is read once."""

    def close(self) -> None: ...


def too_large(size: int, most: int = MAX_RECORD_BYTES) -> Fault:
    return Fault("too large", f"{size:,} bytes; a record has at most {most:,}")


def keys_of(text_key: str) -> tuple[str, ...]:
    """The keys under which a text may be; ``text_key`` is what was asked for, or empty."""
    return (text_key,) if text_key else TEXT_KEYS


def no_text(text_key: str, known: list[str]) -> Fault:
    wanted = " or ".join(map(repr, keys_of(text_key)))
    keys = ", ".join(map(repr, known[:8])) or "none"
    return Fault("no text key", f"no key {wanted}; its keys: {keys}; --text-key names another")


class Changed(InputError):
    """A record that scan saw is not there any more; the text says how."""
