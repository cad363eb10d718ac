"""Large lines of JSONL are parsed in a process that may die: ``[[],[],…`` takes twenty times its size in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from pcdata.inputs.base import Fault, Record
from pcdata.processes.isolated import Died, Isolated, Limits, Send

LIMITS = Limits(memory_bytes=2_000_000_000, cpu_seconds=60)


Parse: TypeAlias = Callable[[str, bytes, int], Record | Fault]


class Line(NamedTuple):
    """One line, and what is needed to parse it."""

    text_key: str
    line: bytes
    offset: int
    wanted: frozenset[str]
    """Fields to return; others may be anything, and just as large."""


def parse_apart(parse: Parse, line: Line) -> Record | Fault:
    """The result of ``parse``, a module's function, for a line, with the wanted fields only."""
    process = Isolated(_Parser, parse, limits=LIMITS)
    try:
        (found,) = process.ask(line)
    except Died as death:
        return Fault("too large", f"{len(line.line):,} bytes; the process that parsed it {death}")
    finally:
        process.close()
    assert isinstance(found, Record | Fault)
    return found


class _Parser:
    """What the process does."""

    def __init__(self, parse: Parse) -> None:
        self._parse = parse

    def __call__(self, line: Line, send: Send) -> None:
        found = self._parse(line.text_key, line.line, line.offset)
        if isinstance(found, Record):
            found = Record(found.raw, {name: value for name, value in found.fields.items() if name in line.wanted})
        send(found)
