"""Plan: decide, from the digests alone and in input order, which document goes where.

Exact duplicates are dropped (the first is kept), documents are drawn into splits, and each split is cut into shards by
raw bytes. The result is one list of pieces per shard, the fitting sample, and rejects.jsonl, all independent of the
number of workers. Memory: one partition of the hashes, the pieces of one scan task and of one shard per split, and one
byte per document in a mapped file.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pcdata.building.filters import LANGUAGE, misspelt
from pcdata.building.options import DatasetOptions
from pcdata.building.rejects import RejectLine
from pcdata.building.scan import TaskInputs
from pcdata.building.scan_results import ScannedTasks
from pcdata.building.splits import val_below
from pcdata.building.workspace import PIECE, Pieces, Workspace
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.manifest import REJECTS, SPLITS
from pcdata.dataset.names import TEMPORARY
from pcdata.dataset.schema import BLOCK_RAW_BYTES
from pcdata.errors import UnbuildableError
from pcdata.inputs.file_names import printable
from pcdata.inputs.records import Reject
from pcdata.processes.kill_points import kill_point

PARTITION_DOCUMENTS = 2_000_000
"""Documents whose hashes are compared at a time: about 100 MB of memory."""

SPREAD_DOCUMENTS = 500_000
"""Documents whose hashes are held before they are spread over partitions, since opening files is what costs time."""

SHARDS_WANTED = 16
MIN_SHARD_BYTES = BLOCK_RAW_BYTES
MAX_SHARD_BYTES = 512_000_000


@dataclass(frozen=True)
class PlannedShard:
    """One shard to be written; its pieces are in the workspace under ``pieces``."""

    split: str
    index: int
    documents: int
    raw_bytes: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05}"

    @property
    def pieces(self) -> str:
        return f"plan/{self.name}.pieces"


@dataclass(frozen=True)
class Plan:
    """What will be written."""

    shards: tuple[PlannedShard, ...]
    rejects: dict[str, int]
    whole_documents: int
    """Before long ones are cut into parts."""
    unlucky_split: str | None
    """The split into which ``val_fraction`` drew no document, so that it got the nearest one."""

    @property
    def raw_bytes(self) -> int:
        return sum(shard.raw_bytes for shard in self.shards)

    @property
    def documents(self) -> int:
        """Including each part of a long one."""
        return sum(shard.documents for shard in self.shards)


SAMPLE = "plan/sample.pieces"
REJECTS_PART = f"plan/{REJECTS}"
_PLAN = "plan/plan.json"
FATES = f"plan/fates.npy{TEMPORARY}"

Fates: TypeAlias = NDArray[np.uint8]
STAYS, DUPLICATE, BEYOND_LIMIT = range(3)
_FATES_AT_ONCE = 1 << 20
_HASH = np.dtype("V16")


def make_plan(options: DatasetOptions, workspace: Workspace, n_tasks: int) -> Plan:
    """Plan the build, or read the plan of the build that is being resumed.

    Raises ``UnbuildableError`` if there is nothing to build, or a requested split would be empty.
    """
    if not workspace.has(_PLAN):
        scanned = ScannedTasks(workspace, n_tasks)
        fates = _settle(options, workspace, scanned)
        rejects = _write_rejects(options, workspace, scanned, fates)
        below, unlucky = _val_end(options, scanned, fates)
        shards = _cut_shards(options, workspace, scanned, fates, np.uint64(below))
        _refuse_empty(options, workspace, shards, rejects, n_tasks)
        (workspace.folder / FATES).unlink()
        plan = Plan(tuple(shards), rejects, len(fates) - int(np.count_nonzero(fates)), unlucky)
        workspace.write_json(_PLAN, plan)
        kill_point("plan.written")
    saved: Plan = workspace.read_typed(_PLAN, Plan)
    return saved


def _settle(options: DatasetOptions, workspace: Workspace, scanned: ScannedTasks) -> Fates:
    """The fate of each document, in input order."""
    total = sum(int((pieces["start"] == 0).sum()) for _, pieces in scanned)
    fates = np.lib.format.open_memmap(workspace.folder / FATES, mode="w+", dtype=np.uint8, shape=(total,))
    if options.filters.dedup == "exact":
        mark_duplicates(workspace, scanned, fates)
    if options.filters.limit:
        _mark_from(options.filters.limit, fates)
    return fates


def _mark_from(limit: int, fates: Fates) -> None:
    """Mark all remaining documents from the one numbered ``limit`` on."""
    seen = 0
    for begin in range(0, len(fates), _FATES_AT_ONCE):
        some = fates[begin : begin + _FATES_AT_ONCE]
        stays = some == STAYS
        some[stays & (seen + np.cumsum(stays) > limit)] = BEYOND_LIMIT
        seen += int(stays.sum())


def mark_duplicates(workspace: Workspace, scanned: Iterable[tuple[int, Pieces]], fates: Fates) -> None:
    """Mark documents whose bytes an earlier one has; ``scanned`` has the pieces of all, in order."""
    for path in _partition(workspace, scanned, max(1, -(-len(fates) // PARTITION_DOCUMENTS))):
        _mark_partition(path, fates)
        path.unlink()


def _mark_partition(partition: Path, fates: Fates) -> None:
    """A function of its own, so that the arrays of one partition are freed before the next."""
    keys = np.fromfile(partition, np.uint64).reshape(-1, 3)
    keys = keys[np.lexsort((keys[:, 2], keys[:, 1], keys[:, 0]))]
    same = (keys[1:, :2] == keys[:-1, :2]).all(axis=1)
    fates[keys[1:, 2][same]] = DUPLICATE


def _partition(workspace: Workspace, scanned: Iterable[tuple[int, Pieces]], n_partitions: int) -> list[Path]:
    """Spread (hash, hash, document number) over files by hash, so that equal hashes meet in one file."""
    paths = [workspace.folder / f"plan/hashes-{part:05}{TEMPORARY}" for part in range(n_partitions)]
    for path in paths:
        path.write_bytes(b"")
    first = 0
    held: list[NDArray[np.uint64]] = []
    for _, pieces in scanned:
        documents = pieces["document"][pieces["start"] == 0]
        numbers = np.arange(first, first + len(documents), dtype=np.uint64)
        held.append(np.column_stack([documents, numbers]))
        first += len(documents)
        if sum(map(len, held)) >= SPREAD_DOCUMENTS:
            _spread(held, paths)
            held = []
    if held:
        _spread(held, paths)
    return paths


def _spread(held: list[NDArray[np.uint64]], paths: list[Path]) -> None:
    """Append each row to the file that its hash belongs to."""
    keys = np.concatenate(held)
    partition_of = keys[:, 0] % np.uint64(len(paths))
    order = np.argsort(partition_of, kind="stable")
    ends = np.cumsum(np.bincount(partition_of.astype(np.int64), minlength=len(paths)))
    for path, rows in zip(paths, np.split(order, ends[:-1]), strict=True):
        if len(rows):
            with path.open("ab") as file:
                file.write(keys[rows].tobytes())


def with_fates(scanned: Iterable[tuple[int, Pieces]], fates: Fates) -> Iterator[tuple[int, Pieces, Fates]]:
    """The pieces of each task, and the fate of each."""
    first = 0
    for task, pieces in scanned:
        begins = pieces["start"] == 0
        document_of = first + np.cumsum(begins) - 1
        yield task, pieces, fates[document_of]
        first += int(begins.sum())


def _write_rejects(
    options: DatasetOptions, workspace: Workspace, scanned: ScannedTasks, fates: Fates
) -> dict[str, int]:
    """Write rejects.jsonl in input order: rejects of the scan, and dropped documents. Returns counts by reason."""
    counts: Counter[str] = Counter()
    with workspace.writing(REJECTS_PART) as file:
        for task, pieces, fates_of_task in with_fates(scanned, fates):
            gone = (fates_of_task != STAYS) & (pieces["start"] == 0)
            others = _gone(options, scanned.inputs(task), pieces[gone], fates_of_task[gone]) if gone.any() else ()
            for reject in heapq.merge(scanned.rejects(task), others):  # both are in input order
                counts[reject.reason] += 1
                file.write(reject.json.encode() + b"\n")
    return dict(sorted(counts.items()))


def _gone(options: DatasetOptions, inputs: TaskInputs, pieces: Pieces, fates: Fates) -> Iterator[RejectLine]:
    columns = pieces["entry"], pieces["line"], pieces["document"], fates
    for entry, line, document, fate in zip(*columns, strict=True):
        if fate == DUPLICATE:
            why = "duplicate", f"same bytes as an earlier document, {document.tobytes().hex()}"
        else:
            why = "beyond the limit", f"--limit {options.filters.limit}"
        yield RejectLine.of(int(entry), Reject(printable(inputs[entry].relative), int(line), *why))


def _val_end(options: DatasetOptions, scanned: ScannedTasks, fates: Fates) -> tuple[int, str | None]:
    """The exclusive end of val among the draws, and the split that would have been empty without moving that.

    With few documents, none or all may be drawn into val. Then only the one whose draw is nearest changes its split.
    If all draws are equal, as for a single document, nothing changes.
    """
    below = val_below(options.split)
    if options.split.val_list is not None or not below:
        return below, None
    least, most = 2**64, -1
    for _, pieces, of in with_fates(scanned, fates):
        draws = pieces["split_draw"][of == STAYS]
        if len(draws):
            least, most = min(least, int(draws.min())), max(most, int(draws.max()))
    if least >= most:
        return below, None
    if least >= below:
        return least + 1, "val"
    return (most, "train") if most < below else (below, None)


def _cut_shards(
    options: DatasetOptions, workspace: Workspace, scanned: ScannedTasks, fates: Fates, below: np.uint64
) -> list[PlannedShard]:
    """Write the piece list of every shard, and the fitting sample; returns the shards, train before val. Documents
    whose draw is less than ``below`` are val."""
    kept_bytes = sum(int(pieces["length"][of == STAYS].sum()) for _, pieces, of in with_fates(scanned, fates))
    shard_bytes = options.shard_bytes or default_shard_bytes(kept_bytes)
    cutters = {split: ShardCutter(workspace, split, shard_bytes) for split in SPLITS}
    sample = FitSample(options.views.fit_bytes)
    val_elsewhere = _dropped_from(below, scanned, fates) if options.split.val_list is not None else np.zeros(0, _HASH)
    for _, pieces, of in with_fates(scanned, fates):
        kept, in_val = of == STAYS, pieces["split_draw"] < below
        if len(val_elsewhere):
            in_val |= np.isin(_hashes(pieces), val_elsewhere)
        cutters["train"].add(pieces[kept & ~in_val])
        cutters["val"].add(pieces[kept & in_val])
        sample.add(pieces[kept & ~in_val])
    workspace.write(SAMPLE, sample.finish().tobytes())
    return [shard for split in SPLITS for shard in cutters[split].finish()]


def _dropped_from(below: np.uint64, scanned: ScannedTasks, fates: Fates) -> NDArray[np.void]:
    """Hashes of listed documents that duplicate an earlier one, which replaces them, also in val."""
    found = [
        _hashes(pieces[(of == DUPLICATE) & (pieces["split_draw"] < below)])
        for _, pieces, of in with_fates(scanned, fates)
    ]
    return np.unique(np.concatenate([np.zeros(0, _HASH), *found]))


def _hashes(pieces: Pieces) -> NDArray[np.void]:
    return np.ascontiguousarray(pieces["document"]).view(_HASH).ravel()


def default_shard_bytes(raw_bytes: int) -> int:
    """About ``SHARDS_WANTED`` shards, within the limits for their size."""
    return min(max(raw_bytes // SHARDS_WANTED, MIN_SHARD_BYTES), MAX_SHARD_BYTES)


class ShardCutter:
    """Collects the pieces of a split and closes a shard once it holds ``shard_bytes``."""

    def __init__(self, workspace: Workspace, split: str, shard_bytes: int) -> None:
        self._workspace = workspace
        self._split = split
        self._shard_bytes = shard_bytes
        self._held: list[Pieces] = []
        self._held_bytes = 0
        self._shards: list[PlannedShard] = []

    def add(self, pieces: Pieces) -> None:
        while len(pieces):
            reached = np.cumsum(pieces["length"]) + np.uint64(self._held_bytes)
            end = int(np.searchsorted(reached, self._shard_bytes)) + 1
            self._held.append(pieces[:end])
            self._held_bytes = int(reached[min(end, len(pieces)) - 1])
            if end <= len(pieces):
                self._close()
            pieces = pieces[end:]

    def finish(self) -> list[PlannedShard]:
        if sum(map(len, self._held)):
            self._close()
        return self._shards

    def _close(self) -> None:
        pieces = np.concatenate(self._held)
        shard = PlannedShard(self._split, len(self._shards), len(pieces), int(pieces["length"].sum()))
        self._workspace.write(shard.pieces, pieces.tobytes())
        self._shards.append(shard)
        self._held, self._held_bytes = [], 0


class FitSample:
    """Keeps the train documents with the smallest draws until they hold ``wanted`` bytes."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._held: list[Pieces] = []
        self._held_bytes = 0

    def add(self, pieces: Pieces) -> None:
        self._held.append(pieces)
        self._held_bytes += int(pieces["length"].sum())
        if self._held_bytes > 8 * self._wanted:
            self._prune()

    def finish(self) -> Pieces:
        """The sample, in input order."""
        self._prune()
        chosen = self._held[0]
        return chosen[np.lexsort((chosen["start"], chosen["line"], chosen["entry"], chosen["task"]))]

    def _prune(self) -> None:
        pieces = np.concatenate([np.zeros(0, PIECE), *self._held])
        pieces = pieces[np.argsort(pieces["fit_draw"], kind="stable")]
        end = int(np.searchsorted(np.cumsum(pieces["length"]), self._wanted)) + 1
        self._held = [pieces[:end]]
        self._held_bytes = int(self._held[0]["length"].sum())


class EmptyValError(UnbuildableError):
    """The only document was not drawn into val. A build can do without val, as the text says; a probe cannot."""

    def __init__(self, documents: int, val_fraction: float) -> None:
        none = "the only document was not" if documents == 1 else f"none of {documents:,} documents was"
        self.drawn = f"{none} drawn with --val-fraction {val_fraction}"
        super().__init__(
            f"the val split is empty: {self.drawn}; add documents, or use --val-fraction 0 to build without val"
        )


def _refused(count: int) -> str:
    return "the only input was refused" if count == 1 else f"{count:,} inputs were refused, the first"


def _refuse_empty(
    options: DatasetOptions, workspace: Workspace, shards: list[PlannedShard], rejects: dict[str, int], n_tasks: int
) -> None:
    counts = {split: sum(shard.documents for shard in shards if shard.split == split) for split in SPLITS}
    names = ", ".join(map(str, options.inputs.paths))
    if not shards:
        if not n_tasks:
            raise UnbuildableError(f"{names}: no files there, so nothing to build; name a folder with files in it")
        if not rejects:
            raise UnbuildableError(f"{names}: no records there, so nothing to build; name files that hold some")
        with (workspace.folder / REJECTS_PART).open("rb") as file:
            first = parse_json(file.readline())
        place = f"{first['file']} line {first['position']}" if first["position"] else first["file"]
        fault = misspelt(options.filters.langs) if first["reason"] == LANGUAGE else None
        raise UnbuildableError(
            f"{names}: no documents; {_refused(sum(rejects.values()))}: {place}: {first['reason']} ({first['detail']})"
            + (f"; {fault}" if fault else "")
        )
    if counts["val"] == 0 and options.split.val_list is not None:
        raise UnbuildableError(f"the val split is empty: no document has a path that {options.split.val_list} lists")
    if counts["val"] == 0 and options.split.val_fraction > 0:
        raise EmptyValError(counts["train"], options.split.val_fraction)
    if counts["train"] == 0:
        raise UnbuildableError(
            f"the train split is empty: val took all documents ({counts['val']:,}); lower --val-fraction, or add "
            "documents"
        )
