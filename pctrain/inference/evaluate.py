"""Weights → numbers: bits per raw byte of a whole split, raw and in every view, beside gzip and zstd (law 8).

All figures are sums over the same documents, divided by the same count of raw bytes at the very end.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from pcdata.dataset import Document, Split
from pctrain.errors import DataError
from pctrain.model.decoder import Decoder
from pctrain.model.device import autocast, choose_device
from pctrain.model.scoring import RAW, Alphabet, Score, Window, Windowing, cut_document, score
from pctrain.training.run import load_model, open_dataset

_ZSTD = pa.Codec("zstd", compression_level=19)

COMPRESSORS: dict[str, Callable[[bytes], int]] = {
    "gzip -9": lambda raw: len(zlib.compress(raw, 9, wbits=31)),
    "zstd -19": lambda raw: len(_ZSTD.compress(raw, asbytes=True)),
}
"""What a number is placed beside, each document by itself: compressed bytes of some raw bytes."""


@dataclass(frozen=True)
class Evaluation:
    """The sums of one split."""

    split: str
    documents: int
    raw_bytes: int
    how: Windowing
    step: int
    """Of the checkpoint."""
    raw: Score
    views: dict[str, Score]
    compressed_bytes: dict[str, int]
    """By name of the compressor."""

    def per_byte(self, bits: float) -> float:
        """Bits per raw byte."""
        return bits / self.raw_bytes

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``: sums, and the ratios made of them."""
        return {
            "split": self.split,
            "step": self.step,
            "documents": self.documents,
            "raw_bytes": self.raw_bytes,
            "window": self.how.seq_len,
            "stride": self.how.stride,
            "raw": self._figures(self.raw),
            "views": {name: self._figures(found) for name, found in self.views.items()},
            "compressors": {
                name: {"bytes": size, "bits_per_byte": self.per_byte(8 * size)}
                for name, size in self.compressed_bytes.items()
            },
        }

    def _figures(self, found: Score) -> dict[str, float | int]:
        return {
            "symbols": found.symbols,
            "bits": found.bits,
            "bits_per_byte": self.per_byte(found.bits),
            "full_softmax_bits": found.full_bits,
            "full_softmax_bits_per_byte": self.per_byte(found.full_bits),
        }

    def table(self) -> str:
        """For people."""
        lines = [
            f"{self.split}: {self.documents:,} documents, {self.raw_bytes:,} raw bytes; weights of step {self.step}; "
            f"window {self.how.seq_len}, stride {self.how.stride}",
            "",
            f"{'':24}{'bits per raw byte':>18}{'full softmax':>14}{'symbols':>14}",
            self._line("model, raw bytes", self.raw),
            *(self._line(f"model, view {name}", found) for name, found in self.views.items()),
            *(f"{name:24}{self.per_byte(8 * size):18.4f}" for name, size in self.compressed_bytes.items()),
        ]
        return "\n".join(lines)

    def _line(self, name: str, found: Score) -> str:
        full = self.per_byte(found.full_bits)
        return f"{name:24}{self.per_byte(found.bits):18.4f}{full:14.4f}{found.symbols:14,}"


def evaluate_run(
    run: Path,
    *,
    split: str = "val",
    which: str = "last",
    data: Path | None = None,
    rows: int | None = None,
    stride: int | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> Evaluation:
    """Measure a checkpoint of a run on its dataset; ``data`` says where that lies now, if it was moved."""
    where = choose_device(device)
    model, state = load_model(run, which, where)
    part = open_dataset(run, state, data).split(split)
    seq_len = state.config.data.seq_len
    with autocast(where, state.config.train.dtype):
        return evaluate(
            model,
            part,
            list(state.views),
            how=Windowing(seq_len, stride or seq_len),
            rows=rows or state.config.train.micro_rows or 8,
            step=state.step,
            quiet=quiet,
        )


def evaluate(
    model: Decoder,
    split: Split,
    view_names: list[str],
    *,
    how: Windowing,
    rows: int = 8,
    step: int = 0,
    quiet: bool = True,
) -> Evaluation:
    """Every byte and every symbol of the split once. Raises ``DataError`` if the split has no bytes."""
    if not split.raw_bytes:
        raise DataError(f"the {split.name} split of {split.dataset.folder} has no bytes: bits per byte are not defined")
    vocabulary = split.dataset.vocabulary
    device = next(model.parameters()).device
    scores: dict[str, Score] = {}
    for name in ["raw", *view_names]:
        view = None if name == "raw" else name
        kind = RAW if view is None else Alphabet.of(vocabulary.views[view])
        scores[name] = score(model, _windows(split, view, kind, how, quiet), kind, rows, device)
    raw = scores.pop("raw")
    assert raw.symbols == split.raw_bytes
    return Evaluation(
        split=split.name,
        documents=split.n_documents,
        raw_bytes=split.raw_bytes,
        how=how,
        step=step,
        raw=raw,
        views=scores,
        compressed_bytes=compressed_bytes(split, quiet),
    )


def compressed_bytes(split: Split, quiet: bool) -> dict[str, int]:
    """What each compressor makes of the split's documents, one by one."""
    sums = dict.fromkeys(COMPRESSORS, 0)
    for document in _documents(split, "gzip, zstd", quiet):
        raw = document.raw.tobytes()
        for name, compress in COMPRESSORS.items():
            sums[name] += compress(raw) if raw else 0
    return sums


def _windows(split: Split, view: str | None, kind: Alphabet, how: Windowing, quiet: bool) -> Iterator[Window]:
    for document in _documents(split, view or "raw", quiet):
        symbols: NDArray[np.unsignedinteger] = document.raw if view is None else document.symbols(view)
        yield from cut_document(document, symbols, kind, how)


def _documents(split: Split, what: str, quiet: bool) -> Iterator[Document]:
    """The split's documents in order, with a bar on stderr that counts their raw bytes."""
    with tqdm(total=split.raw_bytes, desc=what, unit="B", unit_scale=True, disable=True if quiet else None) as bar:
        for number in range(split.n_documents):
            document = split.document(number)
            yield document
            bar.update(len(document.raw))
