"""Fit: make every codec's artifact from the sample, then store and hash it before anything is encoded.

An artifact is never fitted again: a resumed build reads the stored one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pcdata.building import fitting
from pcdata.building.options import DatasetOptions
from pcdata.building.plan import SAMPLE
from pcdata.building.progress import Reporter
from pcdata.building.reread import read_pieces
from pcdata.building.workspace import Workspace
from pcdata.codecs.base import Artifact, Codec, codec_class, make_codec, open_codec
from pcdata.codecs.requests import ViewRequest
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.manifest import Amount, FittedView
from pcdata.errors import BuildError, CodecError
from pcdata.processes.kill_points import kill_point
from pcdata.text import size

_VIEWS = "views.json"


def fit_views(
    options: DatasetOptions, workspace: Workspace, artifacts: Mapping[str, Artifact], report: Reporter
) -> None:
    """Fit all views that are not fitted yet."""

    def read() -> Iterator[bytes]:
        yield from (raw for raw, _ in read_pieces(options.inputs, workspace, workspace.read_pieces(SAMPLE)))

    fit_requests(options.views.requests, workspace, Sample(read), artifacts, report)


def fit_requests(
    requests: Sequence[ViewRequest],
    workspace: Workspace,
    sample: Sequence[bytes],
    artifacts: Mapping[str, Artifact],
    report: Reporter,
) -> None:
    """The same on a given sample, which is only read if a codec needs it."""
    if not workspace.has(_VIEWS):
        views = [
            _fit_view(workspace.output, request, sample, artifacts.get(request.name), report) for request in requests
        ]
        workspace.write_json(_VIEWS, views)
        kill_point("fit.written")
    open_views(workspace)  # raises if library versions differ


class Sample(Sequence[bytes]):
    """The documents that codecs are fitted on, read when a codec first needs one."""

    def __init__(self, read: Callable[[], Iterable[bytes]]) -> None:
        self._read = read

    @cached_property
    def _documents(self) -> list[bytes]:
        return [*self._read()]

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: Any) -> Any:
        return self._documents[index]


def open_views(workspace: Workspace) -> list[tuple[FittedView, Codec]]:
    """The fitted views and their codecs, opened once per process.

    Raises ``BuildError`` if other versions of a codec's libraries are installed, and ``DatasetError`` if an artifact on
    disk is not the one that was stored.
    """
    return _opened(workspace.output, workspace.read(_VIEWS))


@lru_cache(maxsize=1)
def _opened(output: Path, views_json: bytes) -> list[tuple[FittedView, Codec]]:
    """``views_json``, the content of the file, distinguishes successive builds in the same folder."""
    fitted = Workspace(output).read_typed(_VIEWS, tuple[FittedView, ...])
    for view in fitted:
        now = codec_class(view.codec).versions(view.backends)
        if now != view.versions:
            raise BuildError(
                f"view {view.name} was begun with {view.versions}, installed are {now}; "
                "finish it with its own versions, or discard a build with pcdata build --restart"
            )
    return [(view, open_codec(view, output)) for view in fitted]


def _fit_view(
    output: Path, request: ViewRequest, sample: Sequence[bytes], handed_in: Artifact | None, report: Reporter
) -> FittedView:
    cls = codec_class(request.codec)
    artifact = handed_in or {}
    fitted_on = request.fitted_on
    if handed_in is None and cls.is_fitted(request.parameters):
        fitted_on = Amount(len(sample), sum(map(len, sample)))
        report.say(f"fitting {request.name} on {size(fitted_on.raw_bytes)} ({fitted_on.documents} documents)")
        with report.stage("fit", None) as advance:
            artifact = fitting.fit(request.codec, request.parameters, sample, advance)
    try:
        backends = cls.choose_backends(request.parameters, artifact, sample)
        # An unusable artifact is refused before it is stored.
        make_codec(request.codec, request.parameters, artifact, backends)
    except CodecError as error:
        handed = f" (artifact {request.artifact})" if request.artifact else ""
        raise CodecError(f"view {request.name}{handed}: {error}") from None
    entries = tuple(
        write_file(output, f"views/{request.name}/artifact/{name}", artifact[name]) for name in sorted(artifact)
    )
    return FittedView(
        request.name,
        request.codec,
        request.parameter_values,
        backends,
        fitted_on,
        entries,
        cls.versions(backends),
        request.ids,
    )
