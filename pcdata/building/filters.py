"""Filters: which documents are kept, of all that can be read. The others are counted by reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pcdata.building.options import FilterOptions
from pcdata.dataset.block import Metadata
from pcdata.dataset.identity import SAMPLE, draw
from pcdata.errors import likeliest
from pcdata.inputs.languages import UNKNOWN, language_of, languages
from pcdata.inputs.records import Piece

LANGUAGE: Final = "language"
"""The reason of documents that ``--lang`` leaves out."""


class Measured:
    """What filters need to know about a document that is read in pieces."""

    def __init__(self, lines: bool) -> None:
        """``lines``: whether to measure lines, which costs a pass over the bytes."""
        self.size = 0
        self.longest_line = 0
        self._lines = lines
        self._open_line = 0  # length so far of the line that continues in the next piece

    def add(self, piece: Piece) -> None:
        self.size += len(piece.raw)
        if self._lines:
            first, *rest = map(len, piece.raw.split(b"\n"))
            first += self._open_line
            self.longest_line = max(self.longest_line, first, *rest)
            self._open_line = rest[-1] if rest else first


@dataclass(frozen=True)
class Filters:
    """The filters of a build."""

    options: FilterOptions

    @cached_property
    def _langs(self) -> set[str]:
        return {lang.lower() for lang in self.options.langs}

    @property
    def lines(self) -> bool:
        """Whether a filter needs the length of lines."""
        return bool(self.options.max_line_bytes)

    def refusal(self, document: bytes, metadata: Metadata, measured: Measured) -> tuple[str, str] | None:
        """Reason and detail if a document is left out; ``document`` is the hash of its content."""
        options = self.options
        size = f"{measured.size:,} bytes"
        if measured.size < options.min_bytes:
            return "too short", f"{size}, --min-bytes {options.min_bytes}"
        if options.max_bytes and measured.size > options.max_bytes:
            return "too long", f"{size}, --max-bytes {options.max_bytes}"
        if options.max_line_bytes and measured.longest_line > options.max_line_bytes:
            return "long line", f"{measured.longest_line:,} bytes, --max-line-bytes {options.max_line_bytes}"
        if self._langs and metadata.lang.lower() not in self._langs:
            return LANGUAGE, f"{metadata.lang}, which no --lang names"
        if options.sample < 1 and draw(document, SAMPLE) >= options.sample * 2**64:
            return "not sampled", f"--sample {options.sample}"
        return None


def misspelt(langs: Iterable[str]) -> str | None:
    """A message about the first language that no file can have, if any; records may still have it."""
    known = [*languages(), UNKNOWN]
    lower = {name.lower() for name in known}
    for lang in langs:
        if lang.lower() not in lower:
            by_suffix = language_of(f".{lang}".encode())
            near = by_suffix if by_suffix != UNKNOWN else likeliest(lang, known)
            then = f"did you mean {near}?" if near else "pcdata stats lists those of a dataset"
            return f"--lang {lang} is not a language that a file can be in; {then}"
    return None
