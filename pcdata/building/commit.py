"""Commit: gather what the shards recorded into the manifest, and write it. Only now is there a dataset."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

from pcdata.building.fit import FittedView, open_views
from pcdata.building.kill_points import kill_point
from pcdata.building.options import BuildOptions, library_versions
from pcdata.building.plan import REJECTS_PART, Plan
from pcdata.building.scan import listed_digest
from pcdata.building.workspace import Workspace
from pcdata.building.write import WrittenShard, WrittenView, written
from pcdata.codecs.base import Codec
from pcdata.dataset.files import naming, temporary_name
from pcdata.dataset.manifest import (
    MANIFEST,
    REJECTS,
    SPLITS,
    Amount,
    Base,
    FileEntry,
    Manifest,
    View,
    base_fingerprint,
    view_fingerprint,
)
from pcdata.dataset.shard import commit_file, write_file
from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS

LANGUAGES_LISTED = 100
OTHER_LANGUAGES = "(other)"


def commit(options: BuildOptions, workspace: Workspace, shaping: dict[str, Any], plan: Plan) -> Manifest:
    """Write rejects.jsonl and then manifest.json; the shards are there already."""
    shards = {shard.name: written(workspace, shard) for shard in plan.shards}
    by_split = {split: tuple(shards[shard.name] for shard in plan.shards if shard.split == split) for split in SPLITS}
    views, next_id = _views(workspace, by_split)
    rejects_file = commit_rejects(workspace)
    kill_point("commit.rejects")
    manifest = Manifest(
        options={**shaping, "inputs_digest": listed_digest(workspace)},
        base=base_of(by_split),
        views=views,
        next_slot=len(views),
        next_id=next_id,
        rejects=plan.rejects,
        rejects_file=rejects_file,
        versions=library_versions(),
    )
    write_file(options.output, MANIFEST, manifest.to_bytes())
    kill_point("commit.manifest")
    return manifest


def commit_rejects(workspace: Workspace) -> FileEntry:
    """Copy the rejects that the plan wrote into the dataset."""
    temporary = temporary_name(workspace.output / REJECTS)
    with naming(temporary), temporary.open("xb") as file, (workspace.folder / REJECTS_PART).open("rb") as part:
        shutil.copyfileobj(part, file)
    return commit_file(temporary, workspace.output, REJECTS)


def _views(workspace: Workspace, by_split: dict[str, tuple[WrittenShard, ...]]) -> tuple[tuple[View, ...], int]:
    """The manifest's views, with symbol ids handed out in order, and the first id that is left."""
    views: list[View] = []
    next_id = RAW_IDS
    for slot, (view, codec) in enumerate(open_views(workspace)):
        files = {split: tuple(shard.views[view.name] for shard in of_split) for split, of_split in by_split.items()}
        views.append(listed_view(view, codec, files, slot, next_id))
        next_id = max(next_id, views[-1].view_ids.end_id)
    return tuple(views), next_id


def base_of(by_split: dict[str, tuple[WrittenShard, ...]]) -> Base:
    """The base as the manifest lists it."""
    files = {split: tuple(shard.base for shard in of_split) for split, of_split in by_split.items()}
    return Base(base_fingerprint(files), files, _languages([shard for of in by_split.values() for shard in of]))


def joined_view(view: View, by_split: dict[str, tuple[WrittenShard, ...]]) -> View:
    """A view of other documents, otherwise as it was."""
    files = {split: tuple(shard.views[view.name] for shard in of_split) for split, of_split in by_split.items()}
    histograms = [shard.histogram for of_split in files.values() for shard in of_split]
    splits = {split: tuple(shard.shard for shard in of_split) for split, of_split in files.items()}
    made = replace(view, unit_bytes_histogram=_summed(histograms), splits=splits, fingerprint="")
    return replace(made, fingerprint=view_fingerprint(made))


def listed_view(
    view: FittedView, codec: Codec, written: dict[str, tuple[WrittenView, ...]], slot: int, next_id: int
) -> View:
    """A view as the manifest lists it; ``next_id`` is the first that is free for its symbols."""
    made = View(
        name=view.name,
        codec=view.codec,
        parameters=view.parameters,
        backends=view.backends,
        fitted_on=view.fitted_on,
        artifact=view.artifact,
        versions=view.versions,
        ids=view.ids,
        slot=slot,
        first_id=next_id if view.ids == "own" else FIRST_BYTE,
        n_symbols=codec.types.n_symbols,
        max_unit_bytes=codec.types.max_unit_bytes,
        max_unit_symbols=codec.types.max_unit_symbols,
        units_independent=codec.units_independent,
        unit_bytes_histogram=_summed([shard.histogram for of_split in written.values() for shard in of_split]),
        splits={split: tuple(shard.shard for shard in of_split) for split, of_split in written.items()},
        fingerprint="",
    )
    return replace(made, fingerprint=view_fingerprint(made))


def _summed(histograms: list[list[int]]) -> tuple[int, ...]:
    length = max(map(len, histograms), default=0)
    return tuple(sum(histogram[k] for histogram in histograms if k < len(histogram)) for k in range(length))


def _languages(shards: list[WrittenShard]) -> dict[str, Amount]:
    """Sums over shards, largest first; past the hundredth they are one line."""
    sums: dict[str, tuple[int, int]] = {}
    for shard in shards:
        for lang, (documents, size) in shard.languages.items():
            old = sums.get(lang, (0, 0))
            sums[lang] = (old[0] + documents, old[1] + size)
    ranked = sorted(sums.items(), key=lambda item: (-item[1][1], item[0]))
    listed = {lang: Amount(*amount) for lang, amount in ranked[:LANGUAGES_LISTED]}
    rest = [amount for _, amount in ranked[LANGUAGES_LISTED:]]
    if rest:
        listed[OTHER_LANGUAGES] = Amount(sum(documents for documents, _ in rest), sum(size for _, size in rest))
    return listed
