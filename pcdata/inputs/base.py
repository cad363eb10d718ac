"""The interface of a file of records, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from pcdata.errors import InputError

MAX_RECORD_BYTES: Final = 1 << 28
"""A larger record is rejected: reading it would take several times its size in memory."""

MOST_EXPANSION: Final = 10_000
"""The most bytes that the records of a file may have per byte of the file. No text compresses so well: a file of some
kilobytes that holds the same record a billion times was made to fill disks."""

LEAST_EXPANDED_BYTES: Final = 1 << 30
"""The records of any file may have this many bytes, however small the file."""

RECORD_BYTES: Final = 1_000
"""Added to the size of every record for its digest and a possible reject."""

TEXT_KEYS: Final = ("text", "content", "code")
"""Keys of a record's text without ``--text-key``: the first of these that it has."""


@dataclass(frozen=True)
class Record:
    """One document and its fields."""

    raw: bytes
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """A place where a record should be, and why there is none."""

    reason: str
    detail: str


class Located(NamedTuple):
    """A record or fault, and its position."""

    position: int
    """For users, from 1: a line, a row, a member. In a range of JSONL: counted from the beginning of the range."""
    offset: int
    """For ``RecordFile.at``: a byte of the file, a row, a member."""
    found: Record | Fault


class RecordFile(Protocol):
    """One input file, or a scan task's part of it. ``whose_fault.reading`` understands what it raises."""

    def scan(self) -> Iterator[Located]:
        """All records in order. Memory: a few of them."""

    def at(self, offset: int) -> Record | Fault:
        """Read a record again. In the order of ``scan``, from any record on, each is read once."""

    def close(self) -> None: ...


def too_large(size: int, most: int = MAX_RECORD_BYTES) -> Fault:
    return Fault("too large", f"{size:,} bytes; a record has at most {most:,}")


def keys_of(text_key: str) -> tuple[str, ...]:
    """The keys that a text may have; ``text_key`` is the option's value, or empty."""
    return (text_key,) if text_key else TEXT_KEYS


def no_text(text_key: str, known: list[str]) -> Fault:
    wanted = " or ".join(map(repr, keys_of(text_key)))
    keys = ", ".join(map(repr, known[:8])) or "none"
    return Fault("no text key", f"no key {wanted}; its keys: {keys}; --text-key names another")


class Changed(InputError):
    """A record that was scanned is not there any more; the text says how."""
