"""``pcdata fit``: a codec's artifact in its own folder, fitted once for any number of builds.

It is fitted on the same sample that ``pcdata build`` of the same inputs and options would take. So a build with the
artifact makes the same view as a build without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdata.building.fit import fit_views, open_views
from pcdata.building.options import DatasetOptions
from pcdata.building.planning import Trial, trial
from pcdata.building.progress import Reporter
from pcdata.building.scan import inputs_digest, listed_digest
from pcdata.building.shaping import shaping
from pcdata.building.versions import library_versions
from pcdata.codecs.base import codec_class
from pcdata.codecs.fitted import RECORD, ArtifactRecord, read_record
from pcdata.codecs.requests import ViewRequest
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.files import appearing, sync
from pcdata.dataset.manifest import FileEntry, FittedView
from pcdata.errors import BuildError, OptionError
from pcdata.inputs.options import refuse_url


@dataclass(frozen=True)
class FitResult:
    """What a call of ``fit_artifact`` did."""

    record: ArtifactRecord
    was_there: bool
    """The artifact was there already, from the same inputs and options."""


def fit_artifact(options: DatasetOptions, output: Path, workers: int, report: Reporter) -> FitResult:
    """Fit the one codec that ``options`` request, into the folder ``output``.

    The folder appears whole or not at all. Raises ``PcdataError``.
    """
    refuse_url(output)
    (request,) = options.views.requests
    _refuse_unfitted(request)
    there = _already_there(options, output)
    if there is not None:
        return FitResult(there, was_there=True)
    with trial(options, workers, report) as planned:
        fit_views(planned.options, planned.workspace, {}, report)
        ((view, _),) = open_views(planned.workspace)
        record = _write(planned, view, output)
    return FitResult(record, was_there=False)


def _refuse_unfitted(request: ViewRequest) -> None:
    if request.name != request.codec or request.ids != "own":
        raise OptionError("name and ids belong to a view, not to an artifact; give them to pcdata build")
    if request.artifact is not None:
        raise OptionError(f"{request.artifact} is an artifact already; give it to pcdata build")
    if not codec_class(request.codec).is_fitted(request.parameters):
        raise OptionError(
            f"{request.codec} with these options is not fitted to anything; give it to pcdata build as it is"
        )


def _already_there(options: DatasetOptions, output: Path) -> ArtifactRecord | None:
    """The record of an earlier call with the same request."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    record = read_record(output)
    if record is None:
        raise BuildError(f"{output} exists and is not an artifact of pcdata fit; name a new folder with -o")
    if record.options != _asked(options, inputs_digest(options, output)):
        raise BuildError(
            f"{output} holds an artifact of other inputs or options; remove it, or name a new folder with -o"
        )
    return record


def _asked(options: DatasetOptions, digest: str) -> dict[str, Any]:
    """Everything that the artifact depends on."""
    return {**shaping(options, {}), "inputs_digest": digest, "versions": library_versions()}


def _write(planned: Trial, view: FittedView, output: Path) -> ArtifactRecord:
    """Copy the artifact out of the temporary build, and write its record."""
    assert view.fitted_on is not None
    output = output.resolve()
    with appearing(output, folder=True) as temporary:
        sources = [planned.workspace.output / entry.path for entry in view.artifact]
        files: tuple[FileEntry, ...] = tuple(write_file(temporary, path.name, path.read_bytes()) for path in sources)
        asked = _asked(planned.options, listed_digest(planned.workspace))
        record = ArtifactRecord(view.codec, view.parameters, view.fitted_on, view.versions, asked, files)
        write_file(temporary, RECORD, record.to_bytes())
    sync(output.parent)
    return record
