"""``pcdata add-view``: add views to a dataset, the same that building with them would have made.

The sample for fitting is the build's, drawn again from the hashes of the train documents. Then each shard's base file
is read and its view files are written next to it. A new manifest, written last, makes them part of the dataset. State
and resuming work as in a build.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.building.engines.process import ProcessEngine
from pcdata.building.fit import Sample, fit_requests, open_views
from pcdata.building.plan import FitSample
from pcdata.building.progress import Reporter
from pcdata.building.shaping import handed_in_artifacts, request_values
from pcdata.building.versions import library_versions
from pcdata.building.workspace import ADDING, PIECE, Pieces, Workspace
from pcdata.building.write import encoded
from pcdata.codecs.requests import ViewRequest
from pcdata.dataset import Dataset
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.hashing import require_sound
from pcdata.dataset.identity import FIT, draw
from pcdata.dataset.listing import end_of_ids, listed_views
from pcdata.dataset.manifest import MANIFEST, BaseShard, Manifest
from pcdata.dataset.reader import Split
from pcdata.dataset.vocab import MAX_VIEWS
from pcdata.dataset.writer import ViewWriter, WrittenView, abandoned_on_error
from pcdata.errors import BuildError, DatasetError
from pcdata.options import at_once
from pcdata.processes.kill_points import kill_point


@dataclass(frozen=True)
class AddTask:
    """Write the new views of one shard."""

    folder: Path
    split: str
    shard: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.shard:05}"

    def shard_of(self, dataset: Dataset) -> BaseShard:
        return dataset.manifest.base.splits[self.split][self.shard]


def add_views(folder: Path, requests: Sequence[ViewRequest], workers: int, report: Reporter) -> Manifest:
    """Add views, or resume adding them. Identical views that are there already are kept.

    Raises ``PcdataError``; the dataset is then unchanged.
    """
    workers = at_once(workers)
    dataset = Dataset(folder)
    artifacts = handed_in_artifacts(tuple(requests))
    asked = {request.name: request_values(request, artifacts.get(request.name)) for request in requests}
    workspace = Workspace(folder)
    with workspace.locked():
        dataset = Dataset(folder)  # read again under the lock
        missing = _missing(dataset, asked)
        if not missing:
            if workspace.claimed is None or workspace.adding:  # keep the state of another unfinished command
                workspace.remove()
            return dataset.manifest
        _claim(dataset, workspace, missing)
        new = [request for request in requests if request.name in missing]
        fit_requests(new, workspace, Sample(partial(_train_sample, dataset)), artifacts, report)
        tasks = _tasks(dataset)
        done = workspace.done_shards
        pending = [task for task in tasks if task.name not in done]
        raw_bytes = sum(task.shard_of(dataset).raw_bytes for task in pending)
        with closing(ProcessEngine(workers)) as engine, report.stage("write", raw_bytes) as advance:
            engine.run(run_add, pending, advance)
        manifest = _commit(dataset, workspace, missing, tasks)
        workspace.remove()
        kill_point("commit.cleaned")
    return manifest


def _missing(dataset: Dataset, asked: dict[str, Any]) -> dict[str, Any]:
    """The views to be made. Raises ``BuildError`` if another view has one of the names."""
    there = {values["name"]: values for values in dataset.manifest.options.get("compressors", [])}
    for name in asked.keys() & {view.name for view in dataset.manifest.views}:
        if there.get(name) != asked[name]:
            raise BuildError(
                f"{dataset.folder} has another view {name!r}; name the new one (--compressor CODEC:name=…), or drop "
                "the old one first with pcdata drop-view"
            )
    missing = {name: values for name, values in asked.items() if name not in dataset.vocabulary.views}
    if missing and dataset.manifest.next_slot + len(missing) > MAX_VIEWS:
        raise BuildError(f"{dataset.folder} has had {dataset.manifest.next_slot} views; {MAX_VIEWS} are the most")
    return missing


def _claim(dataset: Dataset, workspace: Workspace, missing: dict[str, Any]) -> None:
    """Record what is being added, or refuse to resume with anything else."""
    asked = {ADDING: list(missing.values()), "base": dataset.manifest.base.fingerprint, "versions": library_versions()}
    if workspace.claimed not in (None, asked):
        names = ", ".join(workspace.adding) or "none"
        raise BuildError(
            f"{dataset.folder} has an unfinished command in it (views being added: {names}); finish it with its own "
            "options and versions, or give the views up with pcdata drop-view"
        )
    workspace.claim(asked)


def _train_sample(dataset: Dataset) -> Iterator[bytes]:
    """The documents that the build fitted its codecs on."""
    split = dataset.split("train")
    if "fit_bytes" not in dataset.manifest.options:
        raise DatasetError(f"{dataset.folder} does not say what its codecs were fitted on; use an artifact")
    sample = FitSample(dataset.manifest.options["fit_bytes"])
    for block in range(split.n_blocks):
        sample.add(_block_pieces(split, block))
    chosen = sample.finish()
    for block, row in zip(chosen["task"].tolist(), chosen["line"].tolist(), strict=True):
        yield split.base(block).raw_of(row).tobytes()


def _block_pieces(split: Split, block: int) -> Pieces:
    """The rows of a block as the pieces of a plan: block and row are their place, in input order."""
    base = split.base(block)
    pieces = np.zeros(len(base.doc_ids), PIECE)
    pieces["task"] = block
    pieces["line"] = np.arange(len(pieces))
    pieces["length"] = np.diff(base.raw_offsets)
    pieces["fit_draw"] = [draw(doc_id.tobytes(), FIT) for doc_id in base.doc_ids]
    return pieces


def _tasks(dataset: Dataset) -> list[AddTask]:
    splits = dataset.manifest.base.splits
    folder = dataset.folder.absolute()
    return [AddTask(folder, split, number) for split, shards in splits.items() for number in range(len(shards))]


def run_add(task: AddTask, advance: Callable[[int], None]) -> None:
    """Write the new view files of one shard, then its completion record."""
    workspace, dataset = Workspace(task.folder), Dataset(task.folder)
    require_sound(task.folder, task.shard_of(dataset).file)
    opened = open_views(workspace)
    files = {view.name: ViewWriter(task.folder, view.name, codec.types, task.name) for view, codec in opened}
    with abandoned_on_error(*files.values()):
        for doc_ids, raw in _blocks(dataset, task):
            for view, codec in opened:
                files[view.name].write(doc_ids, encoded(view, codec, raw))
            advance(sum(map(len, raw)))
        written = {name: file.finish() for name, file in files.items()}
    workspace.mark_done(task.name, written)


def _blocks(dataset: Dataset, task: AddTask) -> Iterator[tuple[bytes, list[bytes]]]:
    """For each block of a shard: the ids, concatenated, and the raw bytes of its documents."""
    split = dataset.split(task.split)
    shards = dataset.manifest.base.splits[task.split]
    first = sum(len(shard.block_documents) for shard in shards[: task.shard])
    for number in range(first, first + len(shards[task.shard].block_documents)):
        base = split.base(number)
        yield base.doc_ids.tobytes(), [base.raw_of(row).tobytes() for row in range(len(base))]


def _commit(dataset: Dataset, workspace: Workspace, missing: dict[str, Any], tasks: list[AddTask]) -> Manifest:
    """Replace the manifest with one that also lists the new views."""
    manifest = dataset.manifest
    written = [(task.split, workspace.done(task.name, dict[str, WrittenView])) for task in tasks]
    added = listed_views(open_views(workspace), written, manifest.next_slot, manifest.next_id, manifest.base.splits)
    compressors = [*manifest.options.get("compressors", []), *missing.values()]
    grown = dataclasses.replace(
        manifest,
        options={**manifest.options, "compressors": compressors},
        views=(*manifest.views, *added),
        next_slot=manifest.next_slot + len(added),
        next_id=end_of_ids(added, manifest.next_id),
    )
    workspace.remove_rubbish()
    write_file(dataset.folder, MANIFEST, grown.to_bytes())
    kill_point("commit.manifest")
    return grown
