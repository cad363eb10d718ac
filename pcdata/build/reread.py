"""Reading the input a second time: only what the plan kept, and only if it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter

from pcdata.build.options import BuildOptions
from pcdata.build.records import EntryReader, Metadata
from pcdata.build.scan import TaskInputs
from pcdata.build.sources import Entry
from pcdata.build.state import BuildState, Pieces
from pcdata.dataset.identity import doc_id_of
from pcdata.errors import InputError

_ROWS = 4096
"""Pieces taken apart at a time: a Python number is eight times the size of one in an array."""


def read_pieces(options: BuildOptions, state: BuildState, pieces: Pieces) -> Iterator[tuple[bytes, Metadata]]:
    """Bytes and metadata of each piece, in order. Raises ``InputError`` if one is not what scan saw."""
    ids = pieces["part"].tobytes()
    for task, rows_of_task in groupby(_rows(pieces), key=itemgetter(1)):
        entries = TaskInputs(state, task)
        for number, rows_of_entry in groupby(rows_of_task, key=itemgetter(2)):
            entry = entries[number]
            assert isinstance(entry, Entry)
            with closing(EntryReader(options, entry)) as reader:
                for row, _, _, *place in rows_of_entry:
                    raw, metadata = reader.read(*place)
                    if doc_id_of(raw) != ids[16 * row : 16 * row + 16]:
                        raise InputError(reader.changed("its content has another hash"))
                    yield raw, metadata


def _rows(pieces: Pieces) -> Iterator[tuple[int, ...]]:
    """Row number, task, entry, line, offset, start and length of each piece."""
    for first in range(0, len(pieces), _ROWS):
        some = pieces[first : first + _ROWS]
        columns = [some[name].tolist() for name in ("task", "entry", "line", "offset", "start", "length")]
        yield from zip(range(first, first + len(some)), *columns, strict=True)
