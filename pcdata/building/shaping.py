"""What the bytes of a dataset depend on, as its manifest records it: options, and artifacts that the user supplied."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pcdata.building.options import DatasetOptions
from pcdata.codecs.base import Artifact, codec_class
from pcdata.codecs.requests import ViewRequest
from pcdata.inputs.file_names import printable


def shaping(options: DatasetOptions, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """The options that shape the dataset's bytes, as the manifest records them: no paths, no workers.

    ``artifacts`` are those that the user supplied, by view.
    """
    inputs, val_list = options.inputs, options.split.val_list
    return {
        "inputs": inputs.source_names,
        "format": inputs.format,
        "include": [printable(os.fsencode(glob)) for glob in inputs.include],
        "exclude": [printable(os.fsencode(glob)) for glob in inputs.exclude],
        **({} if inputs.default_excludes else {"default_excludes": False}),
        "keep_binary": inputs.keep_binary,
        "text_key": inputs.text_key,
        "keep": [str(column) for column in inputs.kept_columns],
        **asdict(options.filters),
        **asdict(options.split),
        "langs": list(options.filters.langs),
        "val_list": None if val_list is None else hashlib.sha256(val_list.read_bytes()).hexdigest(),
        "max_document_bytes": inputs.max_document_bytes,
        "shard_bytes": options.shard_bytes,
        "fit_bytes": options.views.fit_bytes,
        "compressors": [request_values(request, artifacts.get(request.name)) for request in options.views.requests],
    }


def request_values(request: ViewRequest, artifact: Artifact | None) -> dict[str, Any]:
    """A view in the manifest's options; ``artifact`` is the one that the user supplied, if any."""
    return {
        "name": request.name,
        "codec": request.codec,
        "ids": request.ids,
        "parameters": request.parameter_values,
        "artifact": None if artifact is None else _artifact_hash(artifact),
    }


def _artifact_hash(artifact: Artifact) -> str:
    digest = hashlib.sha256()
    for name in sorted(artifact):
        digest.update(name.encode() + b"\0" + hashlib.sha256(artifact[name]).digest())
    return digest.hexdigest()


def handed_in_artifacts(requests: tuple[ViewRequest, ...]) -> dict[str, Artifact]:
    """Read the artifacts that the user supplied, by view."""
    return {
        request.name: codec_class(request.codec).read_artifact(request.artifact)
        for request in requests
        if request.artifact is not None
    }
