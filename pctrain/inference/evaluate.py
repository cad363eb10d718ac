"""Weights → bits per raw byte of a whole split, raw and in every view, beside gzip, zstd and n-grams (law 8).

Measurements are kept per document, so that every figure is a sum over the same documents, divided at the very end by
the same number of raw bytes: of the whole split, or of one language.

Legend: D documents.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdata.dataset import Document, Split
from pcdata.dataset.vocab import RAW_VIEW, ViewIds
from pctrain.data.filter import Filter
from pctrain.data.units import RawUnits
from pctrain.errors import ConfigError, DataError
from pctrain.inference.byte_ngrams import ORDERS, ByteNgrams, Sample
from pctrain.inference.evaluation import Documents, Evaluation
from pctrain.methods.make import raw_units
from pctrain.model.decoder import LanguageModel
from pctrain.model.device import autocast, choose_device
from pctrain.model.patched import move_threshold
from pctrain.model.scoring import Window, Windowing, cut, scores
from pctrain.training.distributed import World, joined
from pctrain.training.progress import ByteProgress
from pctrain.training.run_folder import load_model, open_dataset

_ZSTD = pa.Codec("zstd", compression_level=19)

COMPRESSORS: dict[str, Callable[[bytes], int]] = {
    "gzip -9": lambda raw: len(zlib.compress(raw, 9, wbits=31)),
    "zstd -19": lambda raw: len(_ZSTD.compress(raw, asbytes=True)),
}
"""Compressors for comparison: the compressed size of raw bytes, each document by itself."""

GROUPS: Final = ("lang", "source")
"""The metadata by which figures can be grouped."""


def evaluate_run(
    run: Path,
    *,
    split: str = "val",
    which: str = "last",
    data: Path | None = None,
    rows: int | None = None,
    stride: int | None = None,
    by: str | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
    threshold: float | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> Evaluation | None:
    """Measure a checkpoint of a run on its dataset, or on ``data`` if that was moved.

    The documents are those that the run read, or those that match ``where`` (as in ``DataConfig``). For comparison,
    n-grams are counted on what it read of the train split, unless that split is measured. ``threshold`` replaces that
    of scratchpads, in bits.

    Under ``torchrun`` the documents are divided among the processes; only the first gets the result.
    """
    with joined(choose_device(device)) as world:
        model, state = load_model(run, which, world.device)
        move_threshold(model, threshold)
        part = open_dataset(run, state, data).split(split)
        read = Filter(state.config.data.where)
        seq_len = state.config.data.seq_len
        with autocast(world.device, state.config.runtime.dtype):
            result = evaluate(
                model,
                part,
                {name: state.vocabulary.views[name] for name in state.views},
                windowing=Windowing(seq_len, stride or seq_len),
                rows=rows or state.config.runtime.micro_rows or 8,
                step=state.step,
                by=by,
                only=read if where is None else Filter(where),
                sample=_train_sample(part, read),
                units=raw_units(state.config),
                world=world,
                quiet=quiet,
            )
        said = model.notes(state.step, state.config.train.steps)
        return dataclasses.replace(result, notes=said) if world.is_first else None


def _train_sample(measured: Split, read: Filter) -> Sample | None:
    """None if the train split is measured: it would be scored with its own n-grams."""
    if measured.name == "train" or "train" not in measured.dataset.splits:
        return None
    sample = Sample(measured.dataset.split("train"), read)
    return sample if sample.raw_bytes else None


def evaluate(
    model: LanguageModel,
    split: Split,
    views: Mapping[str, ViewIds],
    *,
    windowing: Windowing,
    rows: int = 8,
    step: int = 0,
    by: str | None = None,
    only: Filter | None = None,
    sample: Sample | None = None,
    units: RawUnits | None = None,
    world: World | None = None,
    quiet: bool = True,
) -> Evaluation:
    """Score every raw byte once, and every symbol of ``views``, under the ids that the model has for them. ``units``:
    for a model that reads them.

    Raises ``DataError`` if the split has no bytes in documents that ``only`` keeps.
    """
    if by is not None and by not in GROUPS:
        raise ConfigError(f"--by must be one of {', '.join(GROUPS)}, got {by!r}")
    reading = _Reading(split, only or Filter({}), by, units, world or World(), quiet)
    manifest = split.dataset.manifest
    model.counts(anew=True)
    raw = reading.score(model, None, RAW_VIEW, windowing, rows)
    counts = reading.world.summed(model.counts())
    return Evaluation(
        split=split.name,
        windowing=windowing,
        step=step,
        documents=reading.documents,
        raw=raw,
        patches=counts,
        views={name: reading.score(model, name, ids, windowing, rows) for name, ids in views.items()},
        unit_lengths_counted={name: manifest.view(name).has_unit_lengths for name in views},
        compressed_bytes=reading.compressed_bytes(),
        ngram_bits={} if sample is None else reading.ngram_bits(sample),
        sample=sample,
    )


def _documents(split: Split, only: Filter, by: str | None) -> tuple[Documents, list[tuple[int, int]]]:
    """The measured documents; and their parts in order: the number of the document, and of the part in the split."""
    numbers = only.numbers(split)
    if only and not len(numbers):
        raise DataError(only.nothing_in(split))
    begins = np.concatenate([split.base(block).part_starts == 0 for block in range(split.n_blocks)])
    begins[0] = True
    # Later parts of a document that was cut follow its first.
    _, firsts_D, document_of = np.unique(np.cumsum(begins)[numbers], return_index=True, return_inverse=True)
    sizes_D = np.zeros(len(firsts_D), np.int64)
    np.add.at(sizes_D, document_of, split.document_lengths()[numbers])
    if not sizes_D.any():
        which = f" in documents that have {only}" if only else ""
        raise DataError(
            f"the {split.name} split of {split.dataset.folder} has no bytes{which}: bits per byte are not defined"
        )
    groups = [str(getattr(split.document(first), by)) if by else "" for first in numbers[firsts_D].tolist()]
    parts = zip(document_of.tolist(), numbers.tolist(), strict=True)
    return Documents(sizes_D, only, int(begins.sum()), len(numbers), groups, by), [*parts]


class _Reading:
    """Documents divided among processes; each measures its own, then they share the results."""

    def __init__(
        self, split: Split, only: Filter, by: str | None, units: RawUnits | None, world: World, quiet: bool
    ) -> None:
        self.documents, parts = _documents(split, only, by)
        self._own = [
            (document, split.document(number)) for document, number in parts if document % world.size == world.rank
        ]
        """Parts of documents, in order, each with the number of its document."""
        self._units = units
        self.world = world
        self._quiet = quiet

    def score(
        self, model: LanguageModel, view: str | None, ids: ViewIds, windowing: Windowing, rows: int
    ) -> NDArray[np.float64]:
        """Symbols, bits and full-softmax bits of each document. [3, D]"""
        device = next(model.parameters()).device
        sums_3D = np.zeros((3, len(self.documents)))
        cut_from: deque[int] = deque()  # the document of each window that was cut and is not scored yet

        def windows() -> Iterator[Window]:
            for document, part in self._read("model, raw bytes" if view is None else f"model, view {view}"):
                symbols: NDArray[np.unsignedinteger] = part.raw if view is None else part.symbols(view)
                units = None
                if view is None and self._units is not None:
                    units = self._units.of(part.split, part.block, part.row, 0, len(symbols))
                for window in cut(symbols, ids, part.part_start_bytes == 0, windowing, units):
                    cut_from.append(document)
                    yield window

        for found in scores(model, windows(), ids, rows, device):
            sums_3D[:, cut_from.popleft()] += (found.symbols, found.bits, found.full_bits)
        summed: NDArray[np.float64] = self.world.sum(sums_3D)
        return summed

    def compressed_bytes(self) -> dict[str, NDArray[np.int64]]:
        """Compressed size of each document under each compressor; parts of a document are compressed separately."""
        sums = {name: np.zeros(len(self.documents), np.int64) for name in COMPRESSORS}
        for document, part in self._read(" and ".join(COMPRESSORS)):
            raw = part.raw.tobytes()
            for name, compress in COMPRESSORS.items():
                sums[name][document] += compress(raw) if raw else 0
        return {name: self.world.sum(sizes_D) for name, sizes_D in sums.items()}

    def ngram_bits(self, sample: Sample) -> dict[str, NDArray[np.float64]]:
        """Bits of each document under n-grams of the sample, which every process counts for itself."""
        with ByteProgress("n-grams, counting", sample.raw_bytes, self._quiet) as progress:
            models = ByteNgrams(progress.over(sample.texts()))
        sums_OD = np.zeros((len(ORDERS), len(self.documents)))
        for document, part in self._read("n-grams"):
            sums_OD[:, document] += models.bits(part.raw)
        return {f"byte {order}-gram": bits_D for order, bits_D in zip(ORDERS, self.world.sum(sums_OD), strict=True)}

    def _read(self, what: str) -> Iterator[tuple[int, Document]]:
        """This process's parts of documents, with a progress bar."""
        share = f", process 1 of {self.world.size}" if self.world.size > 1 else ""
        with ByteProgress(f"{what}{share}", sum(len(part.raw) for _, part in self._own), self._quiet) as progress:
            for document, part in self._own:
                yield document, part
                progress.update(len(part.raw))
