"""``pcdata drop-view``: remove a view from the manifest, then its files. Its ids are not reused."""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import suppress
from pathlib import Path

from pcdata.building.workspace import Workspace
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.manifest import MANIFEST, Manifest, load_manifest
from pcdata.dataset.names import inside, is_view_name
from pcdata.errors import BuildError
from pcdata.processes.kill_points import kill_point


def drop_view(folder: Path, name: str) -> Manifest:
    """Drop a view, or the remains of one after an interrupted call of this or of ``add-view``.

    Raises ``DatasetError`` with the known names if the dataset has no such view.
    """
    load_manifest(folder)  # raises unless the folder is a dataset
    workspace = Workspace(folder)
    with workspace.locked():
        manifest = load_manifest(folder)
        adding = workspace.adding
        if workspace.claimed is not None and name not in adding:
            raise BuildError(f"{folder} has an unfinished command in it; finish that first")
        known = {view.name for view in manifest.views}
        if not (name in known or name in adding or (is_view_name(name) and _files(folder, name).is_dir())):
            manifest.view(name)  # raises, with the known names
        if name in known:
            manifest = _without(manifest, name)
            write_file(folder, MANIFEST, manifest.to_bytes())
            kill_point("commit.manifest")
        for gone in {name, *adding} - {view.name for view in manifest.views}:
            shutil.rmtree(_files(folder, gone), ignore_errors=True)
        if not manifest.views:
            with suppress(OSError):  # other views' files are there too
                (folder / "views").rmdir()
        workspace.remove()
    return manifest


def _without(manifest: Manifest, name: str) -> Manifest:
    compressors = [values for values in manifest.options.get("compressors", []) if values["name"] != name]
    return dataclasses.replace(
        manifest,
        options={**manifest.options, "compressors": compressors},
        views=tuple(view for view in manifest.views if view.name != name),
    )


def _files(folder: Path, view: str) -> Path:
    """The folder of a view's files. Raises ``DatasetError`` if it is outside of the dataset."""
    return inside(folder, f"views/{view}")
