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


def read_pieces(options: BuildOptions, state: BuildState, pieces: Pieces) -> Iterator[tuple[bytes, Metadata]]:
    """Bytes and metadata of each piece, in order. Raises ``InputError`` if one is not what scan saw."""
    ids = pieces["part"].tobytes()
    columns = [pieces[name].tolist() for name in ("task", "entry", "line", "offset", "start", "length")]
    rows = zip(range(len(pieces)), *columns, strict=True)
    for task, rows_of_task in groupby(rows, key=itemgetter(1)):
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
