"""Commit: collect the records of the shards into the manifest, and write it. Only then is there a dataset."""

from __future__ import annotations

import shutil
from typing import Any

from pcdata.building.fit import open_views
from pcdata.building.plan import REJECTS_PART, Plan
from pcdata.building.scan import listed_digest
from pcdata.building.versions import library_versions
from pcdata.building.workspace import Workspace
from pcdata.dataset.arrow_writer import commit_file, write_file
from pcdata.dataset.files import naming, temporary_name
from pcdata.dataset.listing import end_of_ids, listed_base, listed_views
from pcdata.dataset.manifest import MANIFEST, REJECTS, FileEntry, Manifest
from pcdata.dataset.vocab import RAW_IDS
from pcdata.dataset.writer import WrittenShard
from pcdata.processes.kill_points import kill_point


def commit(workspace: Workspace, shaping: dict[str, Any], plan: Plan) -> Manifest:
    """Write rejects.jsonl, then manifest.json; the shards are there already."""
    written = [(shard.split, workspace.done(shard.name, WrittenShard)) for shard in plan.shards]
    views = listed_views(open_views(workspace), [(split, shard.views) for split, shard in written])
    rejects_file = commit_rejects(workspace)
    kill_point("commit.rejects")
    manifest = Manifest(
        options={**shaping, "inputs_digest": listed_digest(workspace)},
        base=listed_base([(split, shard.base) for split, shard in written]),
        views=tuple(views),
        next_slot=len(views),
        next_id=end_of_ids(views, RAW_IDS),
        rejects=plan.rejects,
        rejects_file=rejects_file,
        versions=library_versions(),
    )
    write_file(workspace.output, MANIFEST, manifest.to_bytes())
    kill_point("commit.manifest")
    return manifest


def commit_rejects(workspace: Workspace) -> FileEntry:
    """Copy the rejects that the plan wrote into the dataset."""
    temporary = temporary_name(workspace.output / REJECTS)
    with naming(temporary), temporary.open("xb") as file, (workspace.folder / REJECTS_PART).open("rb") as part:
        shutil.copyfileobj(part, file)
    return commit_file(temporary, workspace.output, REJECTS)
