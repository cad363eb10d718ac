"""What ``import pcdata`` offers: the commands as functions, whose results print well.

Options have the same names as on the command line. Nothing is printed except, on request, a progress bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

from pcdata.building.build import build as run_build
from pcdata.building.options import BuildOptions
from pcdata.building.progress import Reporter
from pcdata.codecs.requests import ViewRequest, parse_requests
from pcdata.dataset import Dataset
from pcdata.editing.add_view import add_views
from pcdata.editing.drop_view import drop_view as drop
from pcdata.editing.merge import merge as join
from pcdata.errors import OptionError
from pcdata.inspection.stats import Stats
from pcdata.inspection.stats import stats as collect
from pcdata.probing.options import DOCUMENT_BYTES, ProbeOptions
from pcdata.probing.probe import probe as measure
from pcdata.probing.results import Probe
from pcdata.verifying.verify import VerifyReport
from pcdata.verifying.verify import verify as check

AnyPath: TypeAlias = str | PathLike[str]
Inputs: TypeAlias = AnyPath | Sequence[AnyPath]


class TrialOptions(TypedDict, total=False):
    """Which documents are used, and how they are divided; ``pcdata build --help`` explains each option."""

    format: str
    include: Sequence[str]
    exclude: Sequence[str]
    default_excludes: bool
    keep_binary: bool
    text_key: str
    keep: Sequence[str]
    min_bytes: int
    max_bytes: int
    max_line_bytes: int
    langs: Sequence[str]
    sample: float
    limit: int
    dedup: str
    val_fraction: float
    val_by: str
    val_list: AnyPath
    max_document_bytes: int
    fit_bytes: int
    strict: bool


class Options(TrialOptions, total=False):
    """The same, and how a dataset is written."""

    shard_bytes: int
    engine: str
    ray_address: str
    workers: int


def open(folder: AnyPath) -> Dataset:
    """Open a dataset. Raises ``DatasetError`` if there is none.

    >>> dataset = pcdata.open("shards/")
    >>> dataset.views
    ['bpe']
    >>> document = dataset.train[0]
    >>> b"".join(unit.raw for unit in document.view("bpe").units) == bytes(document)
    True
    """
    return Dataset(fspath(folder))


def build(
    inputs: Inputs,
    output: AnyPath,
    compressors: Sequence[str] = (),
    *,
    restart: bool = False,
    progress: bool = False,
    **options: Unpack[Options],
) -> Dataset:
    """Build a dataset, or resume building it, as ``pcdata build`` does. Raises ``PcdataError``.

    ``restart`` discards an unfinished build in the output folder first.

    >>> pcdata.build("src/", "shards/", compressors=["bpe:vocab_size=300"], val_fraction=0.1).views
    ['bpe']
    """
    asked = BuildOptions.of(_paths(inputs), Path(output), _requests(compressors), **options)
    run_build(asked, Reporter(quiet=not progress), restart=restart)
    return open(output)


def add_view(
    dataset: Dataset | AnyPath, compressors: Sequence[str], *, workers: int = 0, progress: bool = False
) -> Dataset:
    """Add views to a dataset, with the same files as if it had been built with them. Raises ``PcdataError``.

    >>> pcdata.add_view("shards/", ["gzip"]).views
    ['bpe', 'gzip']
    """
    folder = _folder(dataset)
    add_views(folder, _requests(compressors), workers, Reporter(quiet=not progress))
    return open(folder)


def drop_view(dataset: Dataset | AnyPath, name: str) -> Dataset:
    """Remove a view and its files. Raises ``PcdataError``.

    >>> pcdata.drop_view("shards/", "gzip").views
    ['bpe']
    """
    folder = _folder(dataset)
    drop(folder, name)
    return open(folder)


def merge(
    datasets: Iterable[Dataset | AnyPath], output: AnyPath, *, workers: int = 0, progress: bool = False
) -> Dataset:
    """Join datasets that have the same views, as ``pcdata merge`` does. Raises ``PcdataError``."""
    join([_folder(dataset) for dataset in datasets], Path(output), workers, Reporter(quiet=not progress))
    return open(output)


def stats(dataset: Dataset | AnyPath) -> Stats:
    """What a dataset holds, from its manifest alone: a dictionary that prints as ``pcdata stats`` does.

    >>> pcdata.stats("shards/")["views"]["bpe"]["n_symbols"]
    300
    """
    return collect((dataset if isinstance(dataset, Dataset) else open(dataset)).manifest)


def verify(
    dataset: Dataset | AnyPath, *, quick: bool = False, sample: float | None = None, workers: int = 0
) -> VerifyReport:
    """Hash every file, decode every view and compare it with the raw bytes. Raises ``DatasetError`` if the manifest
    cannot be read; everything else is a finding.

    >>> pcdata.verify("shards/").ok
    True
    """
    return check(_folder(dataset), quick=quick, sample=sample, workers=workers)


def probe(
    inputs: Inputs,
    compressors: Sequence[str],
    *,
    documents: int = ProbeOptions.documents,
    document_bytes: tuple[int, int] = DOCUMENT_BYTES,
    seed: int = 0,
    workers: int = 0,
    progress: bool = False,
    **options: Unpack[TrialOptions],
) -> Probe:
    """Measure which compressor is a good proxy, as ``pcdata probe`` does; writes nothing. Raises ``PcdataError``."""
    probing = {"documents": documents, "document_bytes": document_bytes, "seed": seed, "workers": workers}
    asked = ProbeOptions.of(_paths(inputs), _requests(compressors), **probing, **options)
    return measure(asked, Reporter(quiet=not progress))


def _paths(inputs: Inputs) -> list[Path]:
    return [Path(inputs)] if isinstance(inputs, str | PathLike) else list(map(Path, inputs))


def _requests(compressors: Sequence[str]) -> list[ViewRequest]:
    if isinstance(compressors, str):
        raise OptionError(f"compressors must be a list of texts, such as [{compressors!r}]")
    return parse_requests(compressors)


def _folder(dataset: Dataset | AnyPath) -> Path:
    return dataset.folder if isinstance(dataset, Dataset) else Path(dataset)
