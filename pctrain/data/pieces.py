"""What a row takes of a document at once, and the words for it.

A sample is ``[bos] <open> symbols [<close>]``, or several such spans in other views. ``bos`` stands at byte 0 of a
document only, and a close mark only where what is shown in that view ends the document. What does not fit goes on in
the next row as a new sample, under a fresh open mark.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pctrain.data.documents import Documents
from pctrain.data.mixture import Appearance


class Span(NamedTuple):
    """A run of one document's symbols in one view, with its marks: one open mark, and perhaps one close mark."""

    documents: Documents
    """Of the dataset that it is from."""
    view: int
    block: int
    start: int
    """Into the block's column."""
    end: int
    """Exclusive."""
    closes: bool
    raw_bytes: int
    """How many raw bytes it stands for, in proportion where it ends inside a unit."""


class Sample(NamedTuple):
    """What attends to itself: a piece of a document, or the same piece in two views."""

    length: int
    """Symbols and marks."""
    bos: bool
    spans: tuple[Span, ...]


class Piece(NamedTuple):
    """What one row takes of a document at once; these counts are for the sums of a batch."""

    length: int
    """Symbols and marks of all its samples."""
    samples: tuple[Sample, ...]
    """One, or two that show the same bytes."""
    paired_units: int = 0
    """Units that it shows in two views."""
    unpaired_units: int = 0
    """1 where it begins a unit of a pair that has to be shown compressed alone."""
    unpaired_bytes: int = 0
    """Raw bytes of such a unit that it stands for."""


class Showing(Protocol):
    """A document in some appearance, and how far it has come."""

    appearance: Appearance
    offset_symbols: int
    """As in ``Cursor``: with the document and its appearance, the whole state."""
    size_symbols: int
    """The offset at its end."""
    done: bool

    def place(self, room: int) -> Piece | None:
        """Move on by what fits into ``room``; None if that is nothing but marks. An empty row always fits some."""


def take(left: int, ends: bool, space: int) -> int | None:
    """How many of ``left`` symbols go into ``space``, with a close mark after the last where the document ends.

    None if there are symbols and none goes in. The last symbol never parts from its close mark.
    """
    taken = left if left + ends <= space else min(space, left - ends)
    return taken if taken >= min(left, 1) else None


def proportion(raw_bytes: int, symbols: int, of: int) -> int:
    """The raw bytes that the first ``symbols`` of ``of`` symbols stand for, in proportion."""
    return raw_bytes * symbols // of if of else 0
