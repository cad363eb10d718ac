"""Weights → numbers: bits per raw byte of a whole split, raw and in every view, beside gzip and zstd (law 8).

What is measured is kept per document, so that every figure is a sum over the same documents, divided by the same count
of raw bytes at the very end: of the split, or of the documents of one language.

Legend: D documents.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from pcdata.dataset import Document, Split
from pctrain.errors import ConfigError, DataError
from pctrain.inference.figures import Documents, Evaluation
from pctrain.model.decoder import Decoder
from pctrain.model.device import autocast, choose_device
from pctrain.model.scoring import RAW, Alphabet, Window, Windowing, cut_document, scores
from pctrain.training.distributed import World, joined
from pctrain.training.run import load_model, open_dataset

_ZSTD = pa.Codec("zstd", compression_level=19)

COMPRESSORS: dict[str, Callable[[bytes], int]] = {
    "gzip -9": lambda raw: len(zlib.compress(raw, 9, wbits=31)),
    "zstd -19": lambda raw: len(_ZSTD.compress(raw, asbytes=True)),
}
"""What a number is placed beside, each document by itself: compressed bytes of some raw bytes."""

GROUPS: Final = ("lang", "source")
"""The metadata by which figures can be split up."""


def evaluate_run(
    run: Path,
    *,
    split: str = "val",
    which: str = "last",
    data: Path | None = None,
    rows: int | None = None,
    stride: int | None = None,
    by: str | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> Evaluation | None:
    """Measure a checkpoint of a run on its dataset; ``data`` says where that lies now, if it was moved.

    Under ``torchrun`` the documents are divided among the processes; only the first gets the result.
    """
    with joined(choose_device(device)) as world:
        model, state = load_model(run, which, world.device)
        part = open_dataset(run, state, data).split(split)
        seq_len = state.config.data.seq_len
        with autocast(world.device, state.config.train.dtype):
            result = evaluate(
                model,
                part,
                {name: Alphabet.of(state.vocabulary.views[name]) for name in state.views},
                how=Windowing(seq_len, stride or seq_len),
                rows=rows or state.config.train.micro_rows or 8,
                step=state.step,
                by=by,
                world=world,
                quiet=quiet,
            )
        return result if world.is_first else None


def evaluate(
    model: Decoder,
    split: Split,
    views: Mapping[str, Alphabet],
    *,
    how: Windowing,
    rows: int = 8,
    step: int = 0,
    by: str | None = None,
    world: World | None = None,
    quiet: bool = True,
) -> Evaluation:
    """Every byte once, and every symbol of ``views``, under the ids that the model has for them.

    Raises ``DataError`` if the split has no bytes.
    """
    if not split.raw_bytes:
        raise DataError(f"the {split.name} split of {split.dataset.folder} has no bytes: bits per byte are not defined")
    if by is not None and by not in GROUPS:
        raise ConfigError(f"--by must be one of {', '.join(GROUPS)}, got {by!r}")
    reading = _Reading(split, by, world or World(), quiet)
    manifest = split.dataset.manifest
    return Evaluation(
        split=split.name,
        how=how,
        step=step,
        documents=reading.documents,
        raw=reading.score(model, None, RAW, how, rows),
        views={name: reading.score(model, name, alphabet, how, rows) for name, alphabet in views.items()},
        codecs={name: manifest.view(name).codec for name in views},
        compressed_bytes=reading.compressed_bytes(),
    )


class _Reading:
    """A split whose documents are divided among processes; each measures its own, and then all know all."""

    def __init__(self, split: Split, by: str | None, world: World, quiet: bool) -> None:
        self._split = split
        self._world = world
        self._quiet = quiet or not world.is_first
        self._document_of: list[int] = []
        groups: list[str] = []
        for number in range(split.n_documents):
            part = split.document(number)
            if part.part_start_bytes == 0 or not groups:  # later parts of a document that was cut follow its first
                groups.append(str(getattr(part, by)) if by else "")
            self._document_of.append(len(groups) - 1)
        sizes_D = np.zeros(len(groups), np.int64)
        np.add.at(sizes_D, self._document_of, [len(split.document(n).raw) for n in range(split.n_documents)])
        self.documents = Documents(sizes_D, groups, by)

    def score(self, model: Decoder, view: str | None, kind: Alphabet, how: Windowing, rows: int) -> NDArray[np.float64]:
        """Symbols, bits and full-softmax bits of each document. [3, D]"""
        device = next(model.parameters()).device
        sums_3D = np.zeros((3, len(self.documents)))
        cut_from: deque[int] = deque()  # the document of each window that was cut and is not scored yet

        def windows() -> Iterator[Window]:
            for document, part in self._own(view or "raw"):
                symbols: NDArray[np.unsignedinteger] = part.raw if view is None else part.symbols(view)
                for window in cut_document(part, symbols, kind, how):
                    cut_from.append(document)
                    yield window

        for found in scores(model, windows(), kind, rows, device):
            sums_3D[:, cut_from.popleft()] += (found.symbols, found.bits, found.full_bits)
        summed: NDArray[np.float64] = self._world.sum(sums_3D)
        return summed

    def compressed_bytes(self) -> dict[str, NDArray[np.int64]]:
        """What each compressor makes of each document; of a document that was cut, part by part."""
        sums = {name: np.zeros(len(self.documents), np.int64) for name in COMPRESSORS}
        for document, part in self._own("gzip, zstd"):
            raw = part.raw.tobytes()
            for name, compress in COMPRESSORS.items():
                sums[name][document] += compress(raw) if raw else 0
        return {name: self._world.sum(sizes_D) for name, sizes_D in sums.items()}

    def _own(self, what: str) -> Iterator[tuple[int, Document]]:
        """This process's parts of documents in order, with a bar on stderr that counts all raw bytes."""
        split, world = self._split, self._world
        with tqdm(
            total=split.raw_bytes // world.size,
            desc=what,
            unit="B",
            unit_scale=True,
            disable=True if self._quiet else None,
        ) as bar:
            for number, document in enumerate(self._document_of):
                if document % world.size == world.rank:
                    part = split.document(number)
                    yield document, part
                    bar.update(len(part.raw))
