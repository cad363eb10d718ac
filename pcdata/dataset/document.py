"""Handles for one document, and for one document in one view; columns are read on first use."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.alignment import Alignment
from pcdata.errors import DatasetError
from pcdata.terminal import safe

if TYPE_CHECKING:
    from pcdata.dataset.columns import BaseColumns
    from pcdata.dataset.reader import Split

_SHOWN_UNITS = 400
"""The most units that a notebook shows."""
_COLOURS = ("#dbeafe", "#dcfce7", "#fef9c3", "#fce7f3", "#ede9fe")


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """One document of a split; a long input document may be several, its parts.

    >>> document = pcdata.open("shards/").train[0]
    >>> document.path, len(document.raw), document.view("bpe").symbols
    """

    split: Split
    number: int
    """In the split, from 0."""
    block: int
    row: int
    """Of the block."""

    def __repr__(self) -> str:
        return f"<Document {self.split.name}:{self.number} {safe(self.path)}, {self.lang}, {len(self.raw):,} bytes>"

    @property
    def _base(self) -> BaseColumns:
        return self.split.base(self.block)

    @property
    def raw(self) -> NDArray[np.uint8]:
        """The raw bytes: a read-only view of the mapped file. ``bytes(document)`` copies them."""
        return self._base.raw_of(self.row)

    def __bytes__(self) -> bytes:
        return self.raw.tobytes()

    @property
    def text(self) -> str:
        """The raw bytes as text, a copy; a byte that is not UTF-8 becomes a backslash escape."""
        return self.raw.tobytes().decode("utf-8", "backslashreplace")

    @property
    def doc_id(self) -> str:
        """Hex of the BLAKE2b of the raw bytes."""
        doc_id: bytes = self._base.doc_ids[self.row].tobytes()
        return doc_id.hex()

    @property
    def path(self) -> bytes:
        value: bytes = self._base.value(schema.PATH, self.row)
        return value

    @property
    def lang(self) -> str:
        return str(self._base.value(schema.LANG, self.row))

    @property
    def source(self) -> str:
        return str(self._base.value(schema.SOURCE, self.row))

    @property
    def part_start_bytes(self) -> int:
        """Where in its input document this one begins; 0 unless it was cut."""
        return int(self._base.part_starts[self.row])

    @property
    def document_bytes(self) -> int:
        """The length of the whole input document, of which this may be a part."""
        return int(self._base.document_bytes[self.row])

    def kept(self, column: str) -> Any:
        """A value of a kept column (``--keep``); None if the input had none. Raises ``DatasetError`` if the dataset has
        no such column."""
        names = self._base.metadata.names
        if column not in names:
            raise DatasetError(f"{self.split.dataset.folder} has no column {column!r}; it has: {', '.join(names)}")
        return self._base.value(column, self.row)

    @property
    def views(self) -> list[DocumentView]:
        """The document in each of its views."""
        return [DocumentView(self, view.name) for view in self.split.dataset.manifest.views]

    def view(self, name: str) -> DocumentView:
        """The document in one view. Raises ``DatasetError`` with the known names."""
        self.split.dataset.manifest.view(name)
        return DocumentView(self, name)

    def symbols(self, view: str) -> NDArray[np.unsignedinteger]:
        """Read-only view of the mapped file."""
        return self.split.view(view, self.block).symbols_of(self.row)

    def alignment(self, view: str) -> Alignment:
        """See ``Split.alignment``."""
        return self.split.alignment(view, self.block, self.row)


class Unit(NamedTuple):
    """The shortest run of symbols that encodes a whole number of raw bytes."""

    raw: bytes
    symbols: NDArray[np.unsignedinteger]
    """Read-only view of the mapped file."""


@dataclass(frozen=True, slots=True, repr=False)
class DocumentView:
    """One document in one view. A notebook shows its units, coloured."""

    document: Document
    name: str

    @property
    def symbols(self) -> NDArray[np.unsignedinteger]:
        """Read-only view of the mapped file."""
        return self.document.symbols(self.name)

    @property
    def alignment(self) -> Alignment:
        """Where the units end, checked. Copies."""
        return self.document.alignment(self.name)

    @property
    def units(self) -> list[Unit]:
        """All units, in order. Copies the raw bytes."""
        return [*self._units()]

    def _units(self) -> Iterator[Unit]:
        raw, symbols = self.document.raw, self.symbols
        return (Unit(raw[of_raw].tobytes(), symbols[of_symbols]) for of_symbols, of_raw in self.alignment.slices())

    def __repr__(self) -> str:
        n_bytes, n_symbols, n_units = len(self.document.raw), len(self.symbols), len(self.alignment.raw_ends)
        return f"<{self.name}: {n_symbols:,} symbols in {n_units:,} units, of {n_bytes:,} bytes>"

    def _repr_html_(self) -> str:
        spans = []
        for number, unit in enumerate(self._units()):
            if number == _SHOWN_UNITS:
                spans.append(" …")
                break
            text = html.escape(unit.raw.decode("utf-8", "backslashreplace"))
            title = html.escape(f"{len(unit.raw)} bytes, symbols {unit.symbols[:8].tolist()}")
            colour = _COLOURS[number % len(_COLOURS)]
            spans.append(f'<bdi title="{title}" style="background:{colour};color:#111">{text}</bdi>')
        return f"<p>{html.escape(repr(self))}</p><pre style='white-space:pre-wrap'>{''.join(spans)}</pre>"
