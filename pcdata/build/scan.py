"""Scan: read all input once, and write down of every document only what the plan needs.

First the entries are listed and cut into tasks of about 16 MB; then each task reads its entries and writes a digest
per piece (content hashes, place, length, draws) and its rejects. Both are files in the build's state.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pcdata.build.faults import step
from pcdata.build.options import BuildOptions, printable
from pcdata.build.records import Piece, Reject, RejectLine, scan_entry
from pcdata.build.sources import Entry, Kind, Skipped, find_entries
from pcdata.build.state import PIECE, BuildState
from pcdata.dataset.identity import FIT, SPLIT, doc_id_of, document_hash, draw
from pcdata.errors import InputError

TASK_BYTES = 16_000_000
TASK_ENTRIES = 4_000

_INPUTS = "inputs.json"

_Row: TypeAlias = tuple[int, str, int | str, str]
"""An entry (root, name, size, kind) or what was skipped (root, name, reason, detail), as it is written down."""

_PACK = struct.Struct("<16s16sIIQQQQQQQ").pack
assert struct.calcsize("<16s16sIIQQQQQQQ") == PIECE.itemsize


@dataclass(frozen=True)
class ScanTask:
    """Read the entries of one list."""

    options: BuildOptions
    number: int


def inputs_digest(options: BuildOptions) -> str:
    """A hash of names and sizes of all input files: cheap, and enough to see that a folder was added to."""
    digest = _listing_hash()
    for rows in _tasks(options):
        digest.update(b"".join(map(_hashed, rows)))
    return digest.hexdigest()


def listed_digest(state: BuildState) -> str:
    """The same of the files that were listed when the build began."""
    return str(state.read_json(_INPUTS)["digest"])


def _listing_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16, person=b"pcdata.inputs")


def list_inputs(options: BuildOptions, state: BuildState) -> int:
    """Write the entries of every scan task; returns the number of tasks."""
    if not state.has(_INPUTS):
        count = 0
        digest = _listing_hash()
        for count, rows in enumerate(_tasks(options), start=1):
            state.write(f"inputs/{count - 1:05}.json", json.dumps(rows).encode())
            digest.update(b"".join(map(_hashed, rows)))
        state.write_json(_INPUTS, {"tasks": count, "digest": digest.hexdigest()})
        step("inputs.written")
    return int(state.read_json(_INPUTS)["tasks"])


def _tasks(options: BuildOptions) -> Iterator[list[_Row]]:
    rows: list[_Row] = []
    size = 0
    for entry in find_entries(options):
        name = os.fsdecode(entry.relative)
        if isinstance(entry, Entry):
            rows.append((entry.root, name, entry.size, entry.kind))
            size += entry.size
        else:
            rows.append((entry.root, name, entry.reason, entry.detail))
        if size >= TASK_BYTES or len(rows) >= TASK_ENTRIES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _hashed(row: _Row) -> bytes:
    return repr(row).encode("ascii", "backslashreplace")


class TaskInputs(Sequence[Entry | Skipped]):
    """The entries of one scan task."""

    def __init__(self, state: BuildState, task: int) -> None:
        self._rows: list[_Row] = state.read_json(f"inputs/{task:05}.json")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        root, name, third, fourth = self._rows[number]
        if isinstance(third, int):
            return Entry(root, os.fsencode(name), third, cast(Kind, fourth))
        return Skipped(root, os.fsencode(name), third, fourth)


def pending_scans(options: BuildOptions, state: BuildState, n_tasks: int) -> list[ScanTask]:
    """The scan tasks that are not done."""
    done = set(state.names("scan/*.digests"))
    tasks = options.anchored()
    return [ScanTask(tasks, n) for n in range(n_tasks) if f"scan/{n:05}.digests" not in done]


def run_scan(task: ScanTask, advance: Callable[[int], None]) -> None:
    """Read one task's entries, write its digests and rejects; ``advance`` is told the raw bytes read."""
    state = BuildState(task.options.output)
    digests = bytearray()
    rejects: list[RejectLine] = []
    for number, entry in enumerate(TaskInputs(state, task.number)):
        if isinstance(entry, Skipped):
            rejects.append(RejectLine.of(number, Reject(printable(entry.relative), 0, entry.reason, entry.detail)))
            continue
        document = _Document(task.number, number)
        for found in scan_entry(task.options, entry):
            if isinstance(found, Reject):
                _refuse_if_strict(task.options, found)
                rejects.append(RejectLine.of(number, found))
            else:
                advance(len(found.raw))
                document.add(found)
                if found.last:
                    digests += document.digests()
                    document = _Document(task.number, number)
    state.write(f"scan/{task.number:05}.rejects", "".join(line.to_text() for line in rejects).encode())
    state.write(f"scan/{task.number:05}.digests", bytes(digests))  # last: this file says that the task is done
    step("scan.written")


class _Document:
    """The pieces of the document that is being read: hashes and places, not bytes."""

    def __init__(self, task: int, entry: int) -> None:
        self._place = (task, entry)
        self._whole: hashlib.blake2b | None = None
        self._parts: list[tuple[bytes, int, int, int, int]] = []

    def add(self, piece: Piece) -> None:
        if self._parts or not piece.last:
            self._whole = self._whole or document_hash()
            self._whole.update(piece.raw)
        self._parts.append((doc_id_of(piece.raw), piece.line, piece.offset, piece.start, len(piece.raw)))

    def digests(self) -> bytes:
        """One record per piece; the document's id is its only part's, or the hash of all parts together."""
        document = self._parts[0][0] if self._whole is None else self._whole.digest()
        split = draw(document, SPLIT)
        size = sum(length for *_, length in self._parts)
        return b"".join(
            _PACK(document, part, *self._place, *where, size, split, draw(part, FIT)) for part, *where in self._parts
        )


def _refuse_if_strict(options: BuildOptions, reject: Reject) -> None:
    if options.strict and reject.reason != "binary":
        place = f"{reject.file} line {reject.position}" if reject.position else reject.file
        raise InputError(f"{place}: {reject.reason} ({reject.detail}); repair it, or build without --strict")
