"""What a build is asked to do, and which part of it shapes the result."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import pcdata
from pcdata.building.engines.base import ENGINES
from pcdata.codecs.base import Artifact, codec_class, require_choice, require_range
from pcdata.codecs.requests import ViewRequest
from pcdata.dataset.schema import KeptColumn
from pcdata.dataset.vocab import MAX_VIEWS
from pcdata.errors import OptionError
from pcdata.inputs.file_names import printable, text_of

STDIN = Path("-")
"""As an input: JSONL on standard input."""


def is_stream(path: Path) -> bool:
    """Whether an input can be read only once: standard input, a pipe."""
    return path == STDIN or path.is_fifo() or path.is_char_device()


_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""How one begins as a path, which has no two slashes in a row."""

MAX_DOCUMENT_BYTES = 1 << 30
"""The largest value of ``max_document_bytes``; codecs may count on it."""


@dataclass(frozen=True)
class BuildOptions:
    """The command line of ``pcdata build``, checked."""

    inputs: tuple[Path, ...]
    output: Path
    requests: tuple[ViewRequest, ...] = ()
    format: str = "auto"
    """auto: folders are trees of files, or what ``datasets`` saved, and a file is what its name says; files (a document
    each); or jsonl, parquet, arrow, tar: files of records, folders of such files."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    default_excludes: bool = True
    """Whether folders below an input that tools made, or pcdata and pctrain, are passed over."""
    keep_binary: bool = False
    text_key: str = ""
    """Under which key a record has its text; empty: the first of ``TEXT_KEYS`` that it has."""
    keep: tuple[str, ...] = ()
    """Columns to carry through from records to the base files: NAME, or NAME:TYPE."""
    min_bytes: int = 0
    """Documents with fewer bytes are not taken."""
    max_bytes: int = 0
    """Documents with more are not; 0: none is too long."""
    max_line_bytes: int = 0
    """Nor documents with a longer line; 0: no line is too long."""
    langs: tuple[str, ...] = ()
    """Languages to take, whatever their case; empty: all."""
    sample: float = 1.0
    """Which share of the documents to take, drawn by content."""
    limit: int = 0
    """How many documents to take, the first in input order, however many parts they are cut into; 0: all."""
    dedup: str = "exact"
    """exact: of documents with the same bytes the first is taken; off: all are."""
    val_fraction: float = 0.02
    val_by: str = "document"
    """What is drawn into val: each document; or together all of one source, or of one path-prefix (the first folder of
    the path; path-prefix:N, the first N)."""
    val_list: Path | None = None
    """A file of paths, one a line: those documents are val, and no others."""
    max_document_bytes: int = 262_144
    """Longer documents are cut into parts, at line ends where there are any."""
    shard_bytes: int = 0
    """Raw bytes per shard; 0 makes about 16 shards, of 8 MB to 512 MB."""
    fit_bytes: int = 16_000_000
    """Raw bytes of the sample that codecs are fitted on, about."""
    strict: bool = False
    """Whether a record that cannot be read is an error instead of a reject."""
    workers: int = 1
    """Tasks at once; 0 is one per core of the machine, or of the cluster."""
    engine: str = "process"
    """Who runs the tasks: process or ray. It does not shape the result."""
    ray_address: str = ""
    """HOST:PORT of a Ray cluster, or auto; without it Ray runs on this machine."""

    def __post_init__(self) -> None:
        require_choice("--format", self.format, ("auto", "files", "jsonl", "parquet", "arrow", "tar"))
        require_choice("--dedup", self.dedup, ("exact", "off"))
        require_choice("--val-by", self.val_by.partition(":")[0], ("document", "source", "path-prefix"))
        for option in ("min_bytes", "max_bytes", "max_line_bytes", "limit"):
            require_range(f"--{option.replace('_', '-')}", getattr(self, option), 0, 1 << 62)
        if not 0 < self.sample <= 1:
            raise OptionError(f"--sample must be above 0 and at most 1, got {self.sample}")
        if self.val_list is not None and not self.val_list.is_file():
            raise OptionError(f"--val-list {self.val_list} is no file; name one with a path on each line")
        if not 1 <= self.prefix_folders <= 100:
            raise OptionError(f"--val-by path-prefix:N needs a number from 1 on, got {self.val_by!r}")
        if len({column.name for column in self.kept_columns}) < len(self.keep):
            raise OptionError(f"--keep names a column twice: {', '.join(self.keep)}")
        if not 0 <= self.val_fraction < 1:
            raise OptionError(f"--val-fraction must be at least 0 and below 1, got {self.val_fraction}")
        require_range("--max-document-bytes", self.max_document_bytes, 16, MAX_DOCUMENT_BYTES)
        require_range("--shard-bytes", self.shard_bytes, 0, 1 << 40)
        require_range("--fit-bytes", self.fit_bytes, 1_000, 1 << 32)
        require_range("--workers", self.workers, 0, 100_000)
        require_choice("--engine", self.engine, tuple(ENGINES))
        if self.ray_address and self.engine != "ray":
            raise OptionError(f"--ray-address {self.ray_address} needs --engine ray, got --engine {self.engine}")
        if len(self.requests) > MAX_VIEWS:
            raise OptionError(f"a dataset holds at most {MAX_VIEWS} views, got {len(self.requests)}")
        if not self.inputs:
            raise OptionError("no input given; name at least one folder or JSONL file")
        for path in (*self.inputs, self.output):
            if _URL.match(str(path)) and not path.exists():
                raise OptionError(f"{path} is a URL; copy or mount what is there, and give its path on this machine")
        for number, path in enumerate(self.inputs):
            if not path.exists() and path != STDIN:
                raise OptionError(f"input {path} does not exist")
            if path.resolve() in [other.resolve() for other in self.inputs[:number]]:
                raise OptionError(f"input {path} is given twice")

    def anchored(self) -> BuildOptions:
        """The same with absolute paths, for tasks: a worker may have another working folder."""
        inputs = tuple(path.absolute() for path in self.inputs)
        val_list = self.val_list and self.val_list.absolute()
        return replace(self, inputs=inputs, output=self.output.absolute(), val_list=val_list)

    @cached_property
    def kept_columns(self) -> list[KeptColumn]:
        """What ``keep`` says. Raises ``OptionError``."""
        try:
            return [KeptColumn.parse(text) for text in self.keep]
        except ValueError as error:
            raise OptionError(f"--keep: {error}") from None

    @cached_property
    def listed_paths(self) -> dict[bytes, int]:
        """The paths in ``val_list``, and the line of each from 1 on."""
        lines = [] if self.val_list is None else self.val_list.read_bytes().splitlines()
        return {line: number for number, line in enumerate(lines, start=1) if line}

    @property
    def prefix_folders(self) -> int:
        """How many folders of a path are its prefix; 0 if ``val_by`` says no number."""
        kind, colon, number = self.val_by.partition(":")
        return 1 if not colon else int(number) if kind == "path-prefix" and number.isdecimal() else 0

    @cached_property
    def root_folders(self) -> list[bytes]:
        """The folder that each input's entries are relative to, with a slash at its end: itself, or a file's parent."""
        return [os.path.join(os.fsencode(path if path.is_dir() else path.parent), b"") for path in self.inputs]  # noqa: PTH118

    @cached_property
    def are_folders(self) -> list[bool]:
        """Whether each input is a folder, of which no symbolic links are followed."""
        return [path.is_dir() for path in self.inputs]

    @cached_property
    def source_names(self) -> list[str]:
        """The name of each input: what stands in the column ``source``."""
        return [printable(os.fsencode(path.resolve().name)) or "/" for path in self.inputs]

    def shaping(self, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
        """The options that shape the dataset's bytes, as the manifest records them: no paths, no workers.

        ``artifacts`` are those handed in, by view.
        """
        return {
            "inputs": self.source_names,
            "format": self.format,
            "include": [text_of(os.fsencode(glob)) for glob in self.include],
            "exclude": [text_of(os.fsencode(glob)) for glob in self.exclude],
            **({} if self.default_excludes else {"default_excludes": False}),
            "keep_binary": self.keep_binary,
            "text_key": self.text_key,
            "keep": [str(column) for column in self.kept_columns],
            "min_bytes": self.min_bytes,
            "max_bytes": self.max_bytes,
            "max_line_bytes": self.max_line_bytes,
            "langs": list(self.langs),
            "sample": self.sample,
            "limit": self.limit,
            "dedup": self.dedup,
            "val_fraction": self.val_fraction,
            "val_by": self.val_by,
            "val_list": None if self.val_list is None else hashlib.sha256(self.val_list.read_bytes()).hexdigest(),
            "max_document_bytes": self.max_document_bytes,
            "shard_bytes": self.shard_bytes,
            "fit_bytes": self.fit_bytes,
            "compressors": [request_values(request, artifacts.get(request.name)) for request in self.requests],
        }


def request_values(request: ViewRequest, artifact: Artifact | None) -> dict[str, Any]:
    """What the manifest's options say of a view; ``artifact`` is the one handed in, if one was."""
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
    """Read the artifacts that the person named, by view."""
    return {
        request.name: codec_class(request.codec).read_artifact(request.artifact)
        for request in requests
        if request.artifact is not None
    }


def library_versions() -> dict[str, str]:
    """Of what decides the bytes of every file, whatever the codecs."""
    names = ("numpy", "pyarrow")
    return {
        "pcdata": pcdata.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: metadata.version(name) for name in names},
    }
