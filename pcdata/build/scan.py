"""Scan: read all input once, and write down of every document only what the plan needs.

First the entries are listed and cut into tasks of about 8 MB; then each task reads its entries and writes a digest
per piece (content hashes, place, length, draws) and its rejects. Both are files in the build's state.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pcdata.build.faults import step
from pcdata.build.options import BuildOptions, printable
from pcdata.build.records import Piece, Reject, RejectLine, scan_entry
from pcdata.build.sources import Entry, Skipped, find_entries
from pcdata.build.state import PIECE, BuildState
from pcdata.dataset.identity import FIT, SPLIT, doc_id_of, document_hash, draw
from pcdata.errors import InputError

TASK_BYTES = 8_000_000
TASK_ENTRIES = 4_000

_INPUTS = "inputs.json"

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
    for entry in find_entries(options):
        digest.update(_listed(entry))
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
        for count, lines in enumerate(_tasks(options), start=1):
            state.write(f"inputs/{count - 1:05}.jsonl", b"".join(lines))
            digest.update(b"".join(lines))
        state.write_json(_INPUTS, {"tasks": count, "digest": digest.hexdigest()})
        step("inputs.written")
    return int(state.read_json(_INPUTS)["tasks"])


def _tasks(options: BuildOptions) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for entry in find_entries(options):
        lines.append(_listed(entry))
        size += entry.size if isinstance(entry, Entry) else 0
        if size >= TASK_BYTES or len(lines) >= TASK_ENTRIES:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines


def _listed(entry: Entry | Skipped) -> bytes:
    name = os.fsdecode(entry.relative)
    fields = (
        ["entry", entry.root, name, entry.size, entry.kind]
        if isinstance(entry, Entry)
        else ["skipped", entry.root, name, entry.reason, entry.detail]
    )
    return json.dumps(fields).encode() + b"\n"


class TaskInputs(Sequence[Entry | Skipped]):
    """The entries of one scan task; each is understood when it is asked for."""

    def __init__(self, state: BuildState, task: int) -> None:
        self._lines = state.read(f"inputs/{task:05}.jsonl").decode("ascii").splitlines()

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: Any) -> Any:
        kind, root, name, *rest = json.loads(self._lines[number])
        return (Entry if kind == "entry" else Skipped)(root, os.fsencode(name), *rest)


def pending_scans(options: BuildOptions, state: BuildState, n_tasks: int) -> list[ScanTask]:
    """The scan tasks that are not done."""
    return [ScanTask(options, n) for n in range(n_tasks) if not state.has(f"scan/{n:05}.digests")]


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
        self._whole = document_hash()
        self._parts: list[tuple[bytes, int, int, int, int]] = []

    def add(self, piece: Piece) -> None:
        if self._parts or not piece.last:
            self._whole.update(piece.raw)
        self._parts.append((doc_id_of(piece.raw), piece.line, piece.offset, piece.start, len(piece.raw)))

    def digests(self) -> bytes:
        """One record per piece; the document's id is its only part's, or the hash of all parts together."""
        document = self._parts[0][0] if len(self._parts) == 1 else self._whole.digest()
        split = draw(document, SPLIT)
        size = sum(length for *_, length in self._parts)
        return b"".join(
            _PACK(document, part, *self._place, *where, size, split, draw(part, FIT)) for part, *where in self._parts
        )


def _refuse_if_strict(options: BuildOptions, reject: Reject) -> None:
    if options.strict and reject.reason != "binary":
        place = f"{reject.file} line {reject.position}" if reject.position else reject.file
        raise InputError(f"{place}: {reject.reason} ({reject.detail}); repair it, or build without --strict")
