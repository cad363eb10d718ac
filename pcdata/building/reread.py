"""Reading the input a second time: only the documents that the plan kept, and only if they have not changed.

If a shard ends in the middle of a file of records, the file stays open for the next shard of the same process. A
compressed file can only be read forwards: restarting it for each shard would take quadratic time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Final

from pcdata.building.scan import TaskInputs
from pcdata.building.workspace import Pieces, Workspace
from pcdata.dataset.block import Metadata
from pcdata.dataset.identity import doc_id_of
from pcdata.errors import InputError
from pcdata.inputs.options import InputOptions
from pcdata.inputs.records import EntryReader
from pcdata.inputs.sources import Entry

_ROWS = 4096
"""Pieces converted at a time: Python numbers take eight times the memory of an array's."""


class HalfRead:
    """The last file of records that this process read, while it is open."""

    def __init__(self) -> None:
        self._reader: EntryReader | None = None

    def leave(self, reader: EntryReader) -> None:
        self._reader = reader

    def take(self, options: InputOptions, entry: Entry) -> EntryReader:
        """The reader that was left, if it is this entry's, or a new one."""
        left, self._reader = self._reader, None
        if left is not None and (left.options, left.entry) == (options, entry):
            return left
        if left is not None:
            left.close()
        return EntryReader(options, entry)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


half_read: Final = HalfRead()
"""The one of this process. A process that reads with ``stay_open`` and lives on must close it at the end."""


def read_pieces(
    options: InputOptions, workspace: Workspace, pieces: Pieces, stay_open: bool = False
) -> Iterator[tuple[bytes, Metadata]]:
    """Bytes and metadata of each piece, in order. Raises ``InputError`` if one differs from the scan.

    With ``stay_open`` the last file of records stays open as ``half_read`` for the next call that reads it.
    """
    ids = pieces["part"].tobytes()
    for task, rows_of_task in groupby(_rows(pieces), key=itemgetter(1)):
        entries = TaskInputs(workspace, task)
        for number, rows_of_entry in groupby(rows_of_task, key=itemgetter(2)):
            entry = entries[number]
            assert isinstance(entry, Entry)
            with _reader(options, entry, stay_open) as reader:
                for row, _, _, *place in rows_of_entry:
                    raw, metadata = reader.read(*place)
                    if doc_id_of(raw) != ids[16 * row : 16 * row + 16]:
                        raise InputError(reader.changed("its content has another hash"))
                    yield raw, metadata


@contextmanager
def _reader(options: InputOptions, entry: Entry, stay_open: bool) -> Iterator[EntryReader]:
    with ExitStack() as until_left:
        reader = until_left.enter_context(closing(half_read.take(options, entry)))
        yield reader
        if stay_open and entry.kind != "file":
            until_left.pop_all()
            half_read.leave(reader)


def _rows(pieces: Pieces) -> Iterator[tuple[int, ...]]:
    """Row number, task, entry, line, offset, start and length of each piece."""
    for first in range(0, len(pieces), _ROWS):
        some = pieces[first : first + _ROWS]
        columns = [some[name].tolist() for name in ("task", "entry", "line", "offset", "start", "length")]
        yield from zip(range(first, first + len(some)), *columns, strict=True)
