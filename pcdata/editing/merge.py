"""``pcdata merge``: join datasets that have the same views, without encoding anything again.

What a scan records about inputs is read from the datasets instead, and planned as in a build: the first of identical
documents is kept, and shards are cut by raw bytes. Then rows are copied. So the result has the same documents, in the
same order, as a build from all the inputs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.building.build import refuse_foreign
from pcdata.building.commit import commit_rejects
from pcdata.building.engines.process import ProcessEngine
from pcdata.building.plan import (
    DUPLICATE,
    FATES,
    REJECTS_PART,
    STAYS,
    Fates,
    PlannedShard,
    ShardCutter,
    default_shard_bytes,
    mark_duplicates,
    with_fates,
)
from pcdata.building.progress import Reporter
from pcdata.building.versions import library_versions
from pcdata.building.workspace import PIECE, Pieces, Workspace
from pcdata.dataset import Dataset
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.hashing import require_sound
from pcdata.dataset.identity import document_hash
from pcdata.dataset.listing import listed_base, view_of
from pcdata.dataset.manifest import MANIFEST, SPLITS, Manifest
from pcdata.dataset.names import regular_file
from pcdata.dataset.reader import Split
from pcdata.dataset.schema import PATH
from pcdata.dataset.writer import WrittenShard
from pcdata.editing.merge_write import MergeTask, run_merge, splits_of
from pcdata.errors import BuildError, DatasetError
from pcdata.inputs.file_names import printable
from pcdata.options import at_once
from pcdata.processes.kill_points import kill_point

_PLAN = "plan/plan.json"


@dataclass(frozen=True)
class _MergePlan:
    shards: tuple[PlannedShard, ...]
    rejects: dict[str, int]


@dataclass(frozen=True)
class MergeResult:
    manifest: Manifest
    was_complete: bool
    """The output was already a complete merge of the same parts."""


def merge(folders: Sequence[Path], output: Path, workers: int, report: Reporter) -> MergeResult:
    """Join datasets, or resume joining them. Raises ``PcdataError``."""
    workers = at_once(workers)
    datasets = [Dataset(folder) for folder in folders]
    _refuse_unlike(datasets)
    refuse_foreign(output)
    options = _options(datasets)
    workspace = Workspace(output)
    with workspace.locked():
        if (output / MANIFEST).exists():
            return MergeResult(_already_there(output, options, workspace), was_complete=True)
        _claim(workspace, options)
        with report.stage("check", sum(entry.bytes for one in datasets for entry in one.manifest.files())) as advance:
            _check_files(datasets, workers, advance)
        plan = _plan(workspace, datasets)
        parts = tuple(folder.absolute() for folder in folders)
        tasks = [MergeTask(parts, output.absolute(), shard) for shard in plan.shards]
        done = workspace.done_shards
        pending = [task for task in tasks if task.shard.name not in done]
        raw_bytes = sum(task.shard.raw_bytes for task in pending)
        with closing(ProcessEngine(workers)) as engine, report.stage("write", raw_bytes) as advance:
            engine.run(run_merge, pending, advance)
        manifest = _commit(workspace, datasets[0], options, plan)
        workspace.remove()
        kill_point("commit.cleaned")
    return MergeResult(manifest, was_complete=False)


def _refuse_unlike(datasets: list[Dataset]) -> None:
    """Raise ``BuildError`` unless symbols have the same meaning, and columns are the same, in all datasets."""
    if len(datasets) < 2:
        raise BuildError("a merge needs at least two datasets")
    first = datasets[0]
    for number, other in enumerate(datasets[1:], start=1):
        if other.folder.resolve() in [one.folder.resolve() for one in datasets[:number]]:
            raise BuildError(f"{other.folder} is given twice")
        mine, its = ({view.name: _meaning(view) for view in one.manifest.views} for one in (first, other))
        for name in mine.keys() | its.keys():
            if name not in mine or name not in its:
                without = first if name not in mine else other
                raise BuildError(
                    f"{without.folder} has no view {name!r}; add it there (pcdata add-view), or drop it elsewhere"
                )
            for what in mine[name]:
                if mine[name][what] != its[name][what]:
                    raise BuildError(
                        f"view {name!r} has another {what} in {first.folder} than in {other.folder}: "
                        f"{mine[name][what]!r} and {its[name][what]!r}; build both with one artifact (pcdata fit)"
                    )
        kept = [[str(column) for column in one.manifest.kept_columns] for one in (first, other)]
        if kept[0] != kept[1]:
            raise BuildError(
                f"{first.folder} has kept the columns {kept[0]}, {other.folder} {kept[1]}; build both alike"
            )


def _meaning(view: Any) -> dict[str, Any]:
    return {
        "codec": view.codec,
        "parameters": view.parameters,
        "backends": view.backends,
        "versions": view.versions,
        "ids": view.ids,
        "artifact": [entry.sha256 for entry in view.artifact],
    }


def _options(datasets: list[Dataset]) -> dict[str, Any]:
    """The options of the first, with the inputs of all."""
    manifests = [dataset.manifest for dataset in datasets]
    prints = [[one.base.fingerprint, *(view.fingerprint for view in one.views)] for one in manifests]
    digest = hashlib.blake2b(json.dumps(prints).encode(), digest_size=16, person=b"pcdata.inputs").hexdigest()
    inputs = [name for one in manifests for name in one.options.get("inputs", [])]
    return {**manifests[0].options, "inputs": inputs, "merged": prints, "inputs_digest": digest}


def _already_there(output: Path, options: dict[str, Any], workspace: Workspace) -> Manifest:
    manifest = Dataset(output).manifest
    workspace.remove()
    if manifest.options != options:
        raise BuildError(f"{output} is a finished dataset of other parts; name a new folder with -o")
    return manifest


def _claim(workspace: Workspace, options: dict[str, Any]) -> None:
    asked = {"merge": options, "versions": library_versions()}
    if workspace.claimed not in (None, asked):
        raise BuildError(
            f"{workspace.output} holds an unfinished command of other parts or versions; finish that, or remove the "
            "folder"
        )
    workspace.claim(asked)


def _check_files(datasets: list[Dataset], workers: int, advance: Callable[[int], None]) -> None:
    """Hash all files that will be read, so that no damage is copied."""
    files = [(dataset.folder, entry) for dataset in datasets for entry in dataset.manifest.files()]
    with ThreadPoolExecutor(workers) as threads:
        for (_, entry), _ in zip(files, threads.map(lambda one: require_sound(*one), files), strict=True):
            advance(entry.bytes)


class _Parts:
    """The rows of all datasets, in order, as the pieces of a plan: the task is a split of a dataset, the entry a block,
    the line a row."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self.splits = splits_of(datasets)

    def __iter__(self) -> Iterator[tuple[int, Pieces]]:
        for number, split in enumerate(self.splits):
            for block in range(split.n_blocks):
                yield number, self._pieces(number, split, block)

    @property
    def n_documents(self) -> int:
        """Documents, not rows."""
        return sum(int((pieces["start"] == 0).sum()) for _, pieces in self)

    def _pieces(self, number: int, split: Split, block: int) -> Pieces:
        base = split.base(block)
        pieces = np.zeros(len(base.doc_ids), PIECE)
        ids = np.ascontiguousarray(base.doc_ids).view("<u8").reshape(-1, 2)
        pieces["document"], pieces["part"] = ids, ids
        pieces["task"], pieces["entry"], pieces["line"] = number, block, np.arange(len(pieces))
        pieces["start"], pieces["document_bytes"] = base.part_starts, base.document_bytes
        pieces["length"] = np.diff(base.raw_offsets)
        for row in np.flatnonzero((pieces["start"] == 0) & (pieces["length"] != pieces["document_bytes"])).tolist():
            pieces["document"][row] = np.frombuffer(_whole_hash(split, block, row), "<u8")
        return pieces


def _whole_hash(split: Split, block: int, row: int) -> bytes:
    """The hash of the whole document whose first part this row is. Raises ``DatasetError`` if no part ends where the
    document does."""
    where = f"{split.where(block)}, row {row}"
    digest = document_hash()
    left = int(split.base(block).document_bytes[row])
    while left > 0 and block < split.n_blocks:
        base = split.base(block)
        for raw in map(base.raw_of, range(row, len(base))):
            digest.update(raw.data)
            left -= len(raw)
            if left <= 0:
                break
        block, row = block + 1, 0
    if left:
        raise DatasetError(f"{where}: no part ends where its document does; run pcdata verify")
    return digest.digest()


def _plan(workspace: Workspace, datasets: list[Dataset]) -> _MergePlan:
    """Decide which rows go where, or read the recorded decision."""
    if not workspace.has(_PLAN):
        parts = _Parts(datasets)
        fates = np.lib.format.open_memmap(
            workspace.folder / FATES, mode="w+", dtype=np.uint8, shape=(parts.n_documents,)
        )
        mark_duplicates(workspace, parts, fates)
        rejects = _write_rejects(workspace, datasets, parts, fates)
        kept_bytes = sum(int(pieces["length"][of == STAYS].sum()) for _, pieces, of in with_fates(parts, fates))
        shard_bytes = datasets[0].manifest.options.get("shard_bytes") or default_shard_bytes(kept_bytes)
        cutters = {split: ShardCutter(workspace, split, shard_bytes) for split in SPLITS}
        for number, pieces, of in with_fates(parts, fates):
            cutters[parts.splits[number].name].add(pieces[of == STAYS])
        shards = [shard for split in SPLITS for shard in cutters[split].finish()]
        (workspace.folder / FATES).unlink()
        workspace.write_json(_PLAN, _MergePlan(tuple(shards), rejects))
        kill_point("plan.written")
    plan: _MergePlan = workspace.read_typed(_PLAN, _MergePlan)
    return plan


def _write_rejects(workspace: Workspace, datasets: list[Dataset], parts: _Parts, fates: Fates) -> dict[str, int]:
    """Write the rejects of all datasets, then documents that are in several of them. Returns counts by reason."""
    counts: Counter[str] = Counter()
    with workspace.writing(REJECTS_PART) as file:
        for dataset in datasets:
            counts.update(dataset.manifest.rejects)
            with regular_file(dataset.folder, dataset.manifest.rejects_file.path).open("rb") as theirs:
                shutil.copyfileobj(theirs, file)
        for number, pieces, of in with_fates(parts, fates):
            split = parts.splits[number]
            for piece in pieces[(of == DUPLICATE) & (pieces["start"] == 0)]:
                path = printable(split.base(int(piece["entry"])).value(PATH, int(piece["line"])))
                detail = f"same bytes as an earlier document, {piece['document'].tobytes().hex()}"
                line = {"file": path, "position": 0, "reason": "duplicate", "detail": detail}
                file.write(json.dumps(line).encode() + b"\n")
                counts["duplicate"] += 1
    return dict(sorted(counts.items()))


def _commit(workspace: Workspace, first: Dataset, options: dict[str, Any], plan: _MergePlan) -> Manifest:
    output = workspace.output
    written = [(shard.split, workspace.done(shard.name, WrittenShard)) for shard in plan.shards]
    for view in first.manifest.views:
        for entry in view.artifact:
            write_file(output, entry.path, regular_file(first.folder, entry.path).read_bytes())
    rejects_file = commit_rejects(workspace)
    kill_point("commit.rejects")
    workspace.remove_rubbish()
    manifest = dataclasses.replace(
        first.manifest,
        options=options,
        base=listed_base([(split, shard.base) for split, shard in written]),
        views=tuple(
            view_of(view, [(split, shard.views[view.name]) for split, shard in written])
            for view in first.manifest.views
        ),
        rejects=plan.rejects,
        rejects_file=rejects_file,
        versions=library_versions(),
    )
    write_file(output, MANIFEST, manifest.to_bytes())
    kill_point("commit.manifest")
    return manifest
