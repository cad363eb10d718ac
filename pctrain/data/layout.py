"""What a row takes of a document at once, and the words for it.

A sample is ``[bos] <open> symbols [<close>]``, or several such spans in other views. ``bos`` stands at byte 0 of a
document only, and a close mark only where what is shown in that view ends the document. What does not fit goes on in
the next row as a new sample, under a fresh open mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pctrain.data.documents import Documents
from pctrain.data.mixture import Appearance


class Span(NamedTuple):
    """A run of one document's symbols in one view, with its marks: one open mark, and perhaps others."""

    documents: Documents
    """Of the dataset that it is from."""
    document: int
    """As ``Documents`` numbers it."""
    view: int
    block: int
    start: int
    """Into the block's column."""
    end: int
    """Exclusive."""
    begins: bool
    """Whether it begins a sample; else it belongs to that of the span before it. Samples attend to themselves only."""
    bos: bool
    """Whether ``bos`` comes before the open mark."""
    closes: bool
    raw_bytes: int
    """How many raw bytes it stands for, in proportion where it ends inside a unit."""

    @property
    def length(self) -> int:
        """Symbols and marks."""
        return self.bos + 1 + self.end - self.start + self.closes


class BegunDocument(NamedTuple):
    """A document that begins in a row."""

    dataset: int
    appearance: Appearance
    passed_over: int
    """Documents left out before it."""


class Paired(NamedTuple):
    """Two spans, the same raw bytes in two views."""

    raw: Span
    compressed: Span
    units: int


class Unpaired(NamedTuple):
    """What is shown of a unit of a pair that has to be shown compressed alone."""

    begins: bool
    """The unit, rather than going on in it."""
    raw_bytes: int
    """That it stands for."""


@dataclass(slots=True)
class Row:
    """The layout of one row: spans end to end, and what the sums of a batch count besides."""

    room: int
    """Symbols and marks that still fit; at the end, padding."""
    spans: list[Span] = field(default_factory=list)
    begun: list[BegunDocument] = field(default_factory=list)
    paired: list[Paired] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)


class Placement(Protocol):
    """A document in some appearance, and how far it has come."""

    appearance: Appearance
    offset_symbols: int
    """As in ``Cursor``: with the document and its appearance, the whole state."""
    size_symbols: int
    """The offset at its end."""
    done: bool

    def place(self, row: Row) -> bool:
        """Move on by what fits into the row, and put it there; False if that is nothing but marks. An empty row always
        fits some."""


def take(left: int, ends: bool, space: int) -> int | None:
    """How many of ``left`` symbols go into ``space``, with a close mark after the last where the document ends.

    None if there are symbols and none goes in. The last symbol never parts from its close mark.
    """
    if left + ends <= space:
        return left
    taken = min(space, left - ends)
    return taken if taken > 0 else None


def proportion(raw_bytes: int, symbols: int, of: int) -> int:
    """The raw bytes that the first ``symbols`` of ``of`` symbols stand for, in proportion."""
    return raw_bytes * symbols // of if of else 0
