"""The parts of a row: spans of documents.

A sample is ``[bos] <open> symbols [<close>]``, or several such spans in different views. ``bos`` occurs only at byte 0
of a document, and a close mark only where a view reaches the end of the document. What does not fit continues in the
next row as a new sample, after a new open mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pctrain.data.documents import Document, Documents
from pctrain.data.mixture import Appearance


class Span(NamedTuple):
    """Consecutive symbols of one document in one view, with their marks: one open mark, and perhaps others."""

    documents: Documents
    """Of its dataset."""
    document: int
    """Its number in ``Documents``."""
    view: int
    block: int
    start: int
    """Into the block's column."""
    end: int
    """Exclusive."""
    begins: bool
    """Whether it begins a sample, or continues that of the previous span. Samples attend only to themselves."""
    bos: bool
    """Whether ``bos`` comes before the open mark."""
    closes: bool
    raw_bytes: int
    """How many raw bytes it encodes; in proportion, if it ends inside a unit."""

    @property
    def length(self) -> int:
        """Symbols and marks."""
        return self.bos + 1 + self.end - self.start + self.closes


def span_of(
    document: Document, view: int, start: int, end: int, begins: bool, bos: bool, closes: bool, raw_bytes: int
) -> Span:
    documents, number, block = document.documents, document.number, document.block
    return Span(documents, number, view, block, start, end, begins, bos, closes, raw_bytes)


class BegunDocument(NamedTuple):
    """A document that begins in a row."""

    dataset: int
    appearance: Appearance
    passed_over: int
    """Documents skipped before it."""


class Paired(NamedTuple):
    """Two spans: the same raw bytes in two views."""

    raw: Span
    compressed: Span
    units: int


class Unpaired(NamedTuple):
    """Part of a unit that has to appear compressed alone, though its document is a pair."""

    begins: bool
    """Whether it begins the unit, rather than continuing it."""
    raw_bytes: int
    """How many it encodes."""


@dataclass(slots=True)
class Row:
    """The layout of one row: consecutive spans, and what else the sums of a batch count."""

    room: int
    """How many symbols and marks still fit; at the end, the padding."""
    spans: list[Span] = field(default_factory=list)
    begun: list[BegunDocument] = field(default_factory=list)
    paired: list[Paired] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)


class Placement(Protocol):
    """A document in one appearance, and how much of it has been placed."""

    appearance: Appearance
    offset_symbols: int
    """As in ``Cursor``: together with the document and its appearance, this is the whole state."""
    size_symbols: int
    """The offset at its end."""
    done: bool

    def place(self, row: Row) -> bool:
        """Put what fits into the row and advance past it; False if only marks would fit. An empty row always fits
        some symbols."""


def take(left: int, ends: bool, space: int) -> int | None:
    """How many of ``left`` symbols fit into ``space``, with a close mark after the last if the document ends there.

    None if there are symbols but none fits. The last symbol is never separated from its close mark.
    """
    if left + ends <= space:
        return left
    taken = min(space, left - ends)
    return taken if taken > 0 else None


def proportion(raw_bytes: int, symbols: int, of: int) -> int:
    """The raw bytes that the first ``symbols`` of ``of`` symbols encode, in proportion."""
    return raw_bytes * symbols // of if of else 0
