"""Scan: read all input once, and record about every document only what the plan needs.

First the entries are listed and divided into tasks of about 16 MB. Then each task reads its entries and writes a digest
per piece (content hashes, place, length, draws) and its rejects. Both are files in the workspace.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pcdata.building.filters import Filters, Measured, misspelt
from pcdata.building.mentions import Met
from pcdata.building.options import DatasetOptions, SplitOptions
from pcdata.building.rejects import RejectLine
from pcdata.building.splits import split_draw
from pcdata.building.workspace import PIECE, Workspace
from pcdata.dataset.block import Metadata
from pcdata.dataset.identity import FIT, doc_id_of, document_hash, draw
from pcdata.errors import InputError, UnbuildableError
from pcdata.inputs.file_names import bytes_of, printable, text_of
from pcdata.inputs.options import InputOptions
from pcdata.inputs.records import NO_DOCUMENT, Lines, Piece, Reject, scan_entry
from pcdata.inputs.sources import Entry, Skipped, find_entries, only_files
from pcdata.processes.kill_points import kill_point

TASK_BYTES = 16_000_000
TASK_ENTRIES = 4_000

_INPUTS = "inputs.json"

_Row: TypeAlias = list[Any]
"""An entry (root, name, size, kind; for a range also begin, end) or what was skipped (root, name, reason, detail), as
written to a file."""

_PACK = struct.Struct("<16s16sIIQQQQQQQ").pack
assert struct.calcsize("<16s16sIIQQQQQQQ") == PIECE.itemsize


@dataclass(frozen=True)
class ScanTask:
    """Read the entries of one list."""

    options: DatasetOptions
    output: Path
    number: int


def inputs_digest(options: DatasetOptions, output: Path) -> str:
    """A hash of names and sizes of all input files: cheap, and enough to detect added files."""
    digest = _listing_hash()
    for rows in _tasks(options, output):
        digest.update(b"".join(map(_hashed, rows)))
    return digest.hexdigest()


def listed_digest(workspace: Workspace) -> str:
    """The same for the files that were listed when the build began."""
    return str(workspace.read_json(_INPUTS)["digest"])


def _listing_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16, person=b"pcdata.inputs")


def list_inputs(options: DatasetOptions, workspace: Workspace) -> int:
    """Write the entries of every scan task, unless they are there; returns the number of tasks. Raises
    ``UnbuildableError`` before it writes them, for a language that no file can be in."""
    if not workspace.has(_INPUTS):
        fault = misspelt(options.filters.langs)
        if fault is not None and only_files(options.inputs):
            raise UnbuildableError(fault)
        count = 0
        digest = _listing_hash()
        for count, rows in enumerate(_tasks(options, workspace.output), start=1):
            workspace.write(f"inputs/{count - 1:05}.json", json.dumps(rows).encode())
            digest.update(b"".join(map(_hashed, rows)))
        workspace.write_json(_INPUTS, {"tasks": count, "digest": digest.hexdigest()})
        kill_point("inputs.written")
    return int(workspace.read_json(_INPUTS)["tasks"])


def _tasks(options: DatasetOptions, output: Path) -> Iterator[list[_Row]]:
    rows: list[_Row] = []
    size = 0
    # A record without a path is named by its line in the file, which is unknown in a range.
    whole = options.split.val_list is not None
    for entry in find_entries(options.inputs, output, whole):
        name = text_of(entry.relative)
        if isinstance(entry, Entry):
            rows.append(
                [entry.root, name, entry.size, entry.kind, *([entry.begin, entry.end] if entry.is_range else [])]
            )
            size += entry.size
        else:
            rows.append([entry.root, name, entry.reason, entry.detail])
        if size >= TASK_BYTES or len(rows) >= TASK_ENTRIES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _hashed(row: _Row) -> bytes:
    return repr(tuple(row)).encode("ascii", "backslashreplace")


class TaskInputs(Sequence[Entry | Skipped]):
    """The entries of one scan task."""

    def __init__(self, workspace: Workspace, task: int) -> None:
        self._rows: list[_Row] = workspace.read_json(f"inputs/{task:05}.json")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        root, name, *rest = self._rows[number]
        kind = Entry if isinstance(rest[0], int) else Skipped
        return kind(root, bytes_of(name), *rest)


def pending_scans(options: DatasetOptions, workspace: Workspace, n_tasks: int) -> list[ScanTask]:
    """The unfinished scan tasks."""
    done = set(workspace.names("scan/*.digests"))
    anchored, output = options.anchored(), workspace.output.absolute()
    return [ScanTask(anchored, output, n) for n in range(n_tasks) if f"scan/{n:05}.digests" not in done]


def run_scan(task: ScanTask, advance: Callable[[int], None]) -> None:
    """Read one task's entries, write its digests and rejects; ``advance`` gets the raw bytes read."""
    options, workspace = task.options, Workspace(task.output)
    filters, met = Filters(options.filters), Met(options)
    name = f"scan/{task.number:05}"
    lines: dict[int, int] = {}
    with workspace.writing(f"{name}.digests") as digests, workspace.writing(f"{name}.rejects") as rejects:

        def refuse(reject: Reject) -> None:
            rejects.write(RejectLine.of(number, reject).to_text().encode())

        for number, entry in enumerate(TaskInputs(workspace, task.number)):
            if isinstance(entry, Skipped):
                refuse(Reject(printable(entry.relative), 0, entry.reason, entry.detail))
                continue
            document = _Document(filters, options.split, task.number, number, entry)
            for found in scan_entry(options.inputs, entry):
                if isinstance(found, Lines):
                    lines[number] = found.lines
                elif isinstance(found, Reject):
                    _refuse_if_strict(options.inputs, found)
                    refuse(found)
                else:
                    advance(len(found.raw))
                    document.add(found)
                    if found.last:
                        met.add(found.metadata)
                        if (refused := document.refused()) is not None:
                            refuse(refused)
                        else:
                            digests.write(document.digests())
                        document = _Document(filters, options.split, task.number, number, entry)
        if lines:
            workspace.write_json(f"{name}.lines", lines)
        met.write(workspace, name)
        # The digests appear last: their file says that the task is done.
    kill_point("scan.written")


class _Document:
    """The pieces of the document that is being read: hashes and places, not bytes."""

    def __init__(self, filters: Filters, split: SplitOptions, task: int, number: int, entry: Entry) -> None:
        self._filters = filters
        self._split = split
        self._place = (task, number)
        self._entry = entry
        self._measured = Measured(filters.lines)
        self._whole: hashlib.blake2b | None = None
        self._parts: list[tuple[bytes, int, int, int, int]] = []
        self._metadata: Metadata | None = None

    def add(self, piece: Piece) -> None:
        if self._parts or not piece.last:
            self._whole = self._whole or document_hash()
            self._whole.update(piece.raw)
        self._metadata = piece.metadata
        self._measured.add(piece)
        self._parts.append((doc_id_of(piece.raw), piece.line, piece.offset, piece.start, len(piece.raw)))

    @property
    def _id(self) -> bytes:
        """The id of the only part, or the hash of all parts together."""
        return self._parts[0][0] if self._whole is None else self._whole.digest()

    def refused(self) -> Reject | None:
        """The reject if a filter leaves the document out."""
        assert self._metadata is not None
        refusal = self._filters.refusal(self._id, self._metadata, self._measured)
        return None if refusal is None else Reject(printable(self._entry.relative), self._parts[0][1], *refusal)

    def digests(self) -> bytes:
        """One record per piece."""
        assert self._metadata is not None
        document, size = self._id, self._measured.size
        split = split_draw(self._split, document, self._metadata)
        return b"".join(
            _PACK(document, part, *self._place, *where, size, split, draw(part, FIT)) for part, *where in self._parts
        )


def _refuse_if_strict(options: InputOptions, reject: Reject) -> None:
    if options.strict and reject.reason not in NO_DOCUMENT:
        place = f"{reject.file} line {reject.position}" if reject.position else reject.file
        raise InputError(f"{place}: {reject.reason} ({reject.detail}); repair it, or build without --strict")
