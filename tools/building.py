"""Builds to be timed: their options, and codecs that are fitted once beforehand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pcdata.building.build import build
from pcdata.building.options import BuildOptions
from pcdata.building.progress import Reporter
from pcdata.codecs.base import Codec, codec_class, open_codec
from pcdata.codecs.requests import ViewRequest, parse_requests
from pcdata.dataset import Dataset
from pcdata.dataset.schema import BLOCK_RAW_BYTES

USUAL_VIEWS = ("zstd", "bpe:vocab_size=16384", "zstd,bpe:vocab_size=16384,gzip,ngram")
"""Compressors of one build each, separated by commas."""


def options(
    corpus: Path | tuple[Path, ...], output: Path, requests: Sequence[ViewRequest] = (), workers: int = 1
) -> BuildOptions:
    """A build of all Python files in one or several folders, each whole and in train."""
    return BuildOptions.of(
        corpus if isinstance(corpus, tuple) else (corpus,),
        output,
        requests,
        include=("*.py",),
        exclude=("site-packages",),
        val_fraction=0,
        max_document_bytes=1 << 30,
        workers=workers,
    )


def rebuild(corpus: Path | tuple[Path, ...], output: Path, requests: Sequence[ViewRequest], workers: int = 1) -> None:
    """Build into a folder that ``clear`` has emptied."""
    build(options(corpus, output, requests, workers), Reporter())


def clear(*outputs: Path) -> None:
    """Remove datasets. Not timed: freeing the page cache of one takes as long as writing it."""
    for output in outputs:
        shutil.rmtree(output, ignore_errors=True)


@dataclass(frozen=True)
class Fitted:
    """What a build of the corpus has fitted."""

    folder: Path
    """Its dataset."""
    requests: tuple[ViewRequest, ...]
    """The same views, from existing artifacts."""
    codecs: tuple[Codec, ...]


@contextmanager
def fitted(corpus: Path, compressors: Sequence[str]) -> Iterator[Fitted]:
    """Fit codecs, so that this is not timed. Inside, codecs use the backends chosen here: comparing them on a sample
    would take ``bpe`` a second before each build."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch) / "fitted"
        rebuild(corpus, folder, parse_requests(compressors))
        views = Dataset(folder).manifest.views
        requests = []
        for view, compressor in zip(views, compressors, strict=True):
            chosen = mock.Mock(return_value=dict(view.backends))
            stack.enter_context(mock.patch.object(codec_class(view.codec), "choose_backends", chosen))
            artifact = f"artifact={folder / 'views' / view.name / 'artifact'}"
            requests.append(with_option(compressor, artifact) if view.artifact else compressor)
        codecs = tuple(open_codec(view, folder) for view in views)
        yield Fitted(folder, tuple(parse_requests(requests)), codecs)


def with_option(compressor: str, option: str) -> str:
    return f"{compressor}{',' if ':' in compressor else ':'}{option}"


def read_bare(paths: Sequence[str]) -> list[bytes]:
    """Read files as fast as Python can."""
    documents = []
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a bare limit)
            documents.append(file.read())
    return documents


def blocks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of documents of about one record batch each."""
    first = held = 0
    for end, length in enumerate(lengths, start=1):
        held += length
        if held >= BLOCK_RAW_BYTES or end == len(lengths):
            yield first, end
            first, held = end, 0
