"""``pcdata build``: documents → shards. Each stage has its own file in this folder.

Every stage leaves its result on disk and is not repeated on resume: after any interruption the same command resumes the
build, and the result is the same to the byte.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcdata.building.commit import commit
from pcdata.building.differences import VIEWS, change_of_views, refuse_other
from pcdata.building.engines.options import open_engine
from pcdata.building.fit import fit_views
from pcdata.building.options import BuildOptions, DatasetOptions
from pcdata.building.planning import planned
from pcdata.building.progress import Reporter
from pcdata.building.reread import half_read
from pcdata.building.scan import inputs_digest
from pcdata.building.shaping import handed_in_artifacts, shaping
from pcdata.building.streams import without_streams
from pcdata.building.versions import library_versions
from pcdata.building.workspace import Workspace
from pcdata.building.write import pending_writes, run_write
from pcdata.dataset.manifest import MANIFEST, Manifest, load_manifest
from pcdata.errors import BuildError, UnbuildableError
from pcdata.inputs.file_names import printable
from pcdata.inputs.options import InputOptions
from pcdata.processes.kill_points import kill_point


@dataclass(frozen=True)
class BuildResult:
    """What a call of ``build`` did."""

    manifest: Manifest
    scanned: int
    """Scan tasks done by this call, without those of earlier calls."""
    written: int
    """Shards written by this call."""
    whole_documents: int
    """Documents in the dataset, before long ones were cut; 0 if it was there already."""
    was_complete: bool
    """The dataset was there already, from the same inputs and options."""


def build(options: BuildOptions, report: Reporter, *, restart: bool = False) -> BuildResult:
    """Build, or resume building, the dataset in ``options.output``.

    ``restart`` discards an unfinished build there; a finished dataset is kept.

    Raises ``PcdataError``; the state on disk is then kept for the next call, unless it is useless.
    """
    output, running = options.output, options.running
    refuse_foreign(output)
    artifacts = handed_in_artifacts(options.dataset.views.requests)
    workspace = Workspace(output)
    engine = open_engine(running, output)
    with workspace.locked(), closing(engine), closing(half_read):
        if restart and workspace.claimed and not (output / MANIFEST).exists():
            report.say(f"discarding the unfinished build in {output}")
            workspace.discard()
        dataset = replace(options.dataset, inputs=without_streams(options.dataset.inputs, workspace))
        shaped = shaping(dataset, artifacts)
        if (output / MANIFEST).exists():
            return _already_complete(dataset, workspace, shaped)
        _claim(dataset.inputs, workspace, shaped)
        try:
            plan, scanned = planned(dataset, workspace, engine, report)
        except UnbuildableError:
            workspace.remove()  # nothing to resume, and it would refuse the options that the message suggests
            raise
        fit_views(dataset, workspace, artifacts, report)
        writes = pending_writes(
            dataset.inputs, workspace, plan.shards, in_one=running.workers == 1 and running.engine == "process"
        )
        with report.stage("write", sum(task.raw_bytes for task in writes)) as advance:
            engine.run(run_write, writes, advance)
        workspace.remove_rubbish()  # left by lost workers
        manifest = commit(workspace, shaped, plan)  # last: no manifest, no dataset
        workspace.remove()
        kill_point("commit.cleaned")
    n_written = sum(len(task.shards) for task in writes)
    return BuildResult(manifest, scanned, n_written, plan.whole_documents, was_complete=False)


def refuse_foreign(output: Path) -> None:
    """Raise ``BuildError`` for a folder that holds something else, or whose path Arrow cannot open."""
    name = os.fsencode(output.absolute())
    if str(output.absolute()) != name.decode("utf-8", "replace"):
        raise BuildError(f"{printable(name)}: Arrow opens only paths in UTF-8; name another folder with -o")
    if output.exists() and not output.is_dir():
        raise BuildError(f"{output} is a file; name a folder for the dataset with -o")
    if output.is_dir() and not (output / MANIFEST).exists() and not Workspace(output).folder.exists():
        found = next(output.iterdir(), None)
        if found is not None:
            raise BuildError(f"{output} is not empty (it holds {found.name!r}) and is not a build; name a new folder")


def _already_complete(options: DatasetOptions, workspace: Workspace, shaped: dict[str, Any]) -> BuildResult:
    """Accept a finished dataset if it has the same inputs and options."""
    manifest = load_manifest(workspace.output)
    if adding := workspace.adding:
        raise BuildError(
            f"{workspace.output} is a finished dataset with views being added ({', '.join(adding)}); finish that with "
            "the same pcdata add-view, or give it up with pcdata drop-view"
        )
    found = dict(manifest.options)
    asked = {**shaped, "inputs_digest": inputs_digest(options, workspace.output)}
    workspace.remove()  # the remains of a build killed after its manifest, or this call's lock
    then = "name a new folder with -o"
    if {**found, VIEWS: []} == {**asked, VIEWS: []}:
        then = f"{change_of_views(workspace.output, options.views.requests, found.get(VIEWS), asked[VIEWS])}, or {then}"
    refuse_other(found, asked, f"{workspace.output} is a finished dataset", then)
    return BuildResult(manifest, 0, 0, 0, was_complete=True)


def _claim(options: InputOptions, workspace: Workspace, shaped: dict[str, Any]) -> None:
    """Record what is being built, or refuse to resume anything else."""
    roots = [str(path.resolve()) for path in options.paths]
    asked = {**shaped, "folders": roots, "strict": options.strict, "versions": library_versions()}
    if (found := workspace.claimed) is not None:
        eased = found.get("strict") and not options.strict  # nothing was refused so far, so strict made no difference
        refuse_other(
            {**found, "strict": False} if eased else found,
            asked,
            f"{workspace.output} holds an unfinished build",
            "finish it with its own options and versions, or discard it with --restart",
        )
    workspace.claim(asked)
