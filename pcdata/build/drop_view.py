"""``pcdata drop-view``: the manifest forgets a view, then its files go. Its ids are not handed out again."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from pcdata.build.add_view import OPTIONS, unfinished
from pcdata.build.faults import step
from pcdata.build.state import BuildState
from pcdata.dataset.manifest import MANIFEST, Manifest, load_manifest
from pcdata.dataset.shard import write_file
from pcdata.errors import BuildError


def drop_view(folder: Path, name: str) -> Manifest:
    """Drop a view; or what a call of this or of ``add-view`` that was cut short has left of one.

    Raises ``DatasetError`` with the names there are if the dataset has none of this name.
    """
    load_manifest(folder)
    state = BuildState(folder)
    with state.locked():
        manifest = load_manifest(folder)
        adding = unfinished(state)
        if state.has(OPTIONS) and name not in adding:
            raise BuildError(f"{folder} has an unfinished command in it; finish that first")
        files = folder / "views" / name
        known = {view.name for view in manifest.views}
        if name not in known and not (name in adding or (_is_name(name) and files.is_dir())):
            manifest.view(name)  # raises, with the names there are
        if name in known:
            manifest = _without(manifest, name)
            write_file(folder, MANIFEST, manifest.to_bytes())
            step("commit.manifest")
        for gone in {name, *adding} - {view.name for view in manifest.views}:
            shutil.rmtree(folder / "views" / gone, ignore_errors=True)
        if not manifest.views:
            shutil.rmtree(folder / "views", ignore_errors=True)
        state.remove()
    return manifest


def _without(manifest: Manifest, name: str) -> Manifest:
    compressors = [values for values in manifest.options.get("compressors", []) if values["name"] != name]
    return dataclasses.replace(
        manifest,
        options={**manifest.options, "compressors": compressors},
        views=tuple(view for view in manifest.views if view.name != name),
    )


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name
