"""The results of an evaluation, per document: sums, ratios, standard errors, and how they are printed.

Legend: D documents, K the documents of one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pctrain.data.filter import Filter
from pctrain.inference.byte_ngrams import Sample
from pctrain.model.decoder import Counts
from pctrain.model.scoring import Windowing, jackknife_error


@dataclass(frozen=True)
class Documents:
    """The measured documents of a split; the parts of one that was cut count as one."""

    raw_bytes_D: NDArray[np.int64]
    only: Filter
    """The filter that selected them."""
    of_documents: int
    """How many the split has, measured or not."""
    parts: int
    """How many parts were measured, counted as ``pcdata stats`` does."""
    groups: Sequence[str]
    """The group of each document, by ``by``; one group without it."""
    by: str | None = None

    def __len__(self) -> int:
        return len(self.raw_bytes_D)

    def __str__(self) -> str:
        parts = f" ({self.parts:,} parts)" if self.parts > len(self) else ""
        if not self.only:
            return f"{len(self):,} documents{parts}"
        return f"{len(self):,} of {self.of_documents:,} documents{parts}, {self.only}"

    def members(self) -> dict[str, NDArray[np.intp]]:
        """The numbers of each group's documents; the group with the most raw bytes first."""
        names, group_D = np.unique(np.array(self.groups), return_inverse=True)
        found = {str(name): np.flatnonzero(group_D == number) for number, name in enumerate(names)}
        return dict(sorted(found.items(), key=lambda item: -int(self.raw_bytes_D[item[1]].sum())))


@dataclass(frozen=True)
class Evaluation:
    """The sums of one split."""

    split: str
    windowing: Windowing
    step: int
    """Of the checkpoint."""
    documents: Documents
    raw: NDArray[np.float64]
    """Symbols, bits and full-softmax bits of each document. [3, D]"""
    views: dict[str, NDArray[np.float64]]
    unit_lengths_counted: dict[str, bool]
    """By view, whether its symbols encode the length of each unit (``View.has_unit_lengths``). If not, bits per byte
    leave out the cost of those lengths, and are not comparable with a compressor."""
    compressed_bytes: dict[str, NDArray[np.int64]]
    """Of each document, by name of the compressor. [D]"""
    ngram_bits: dict[str, NDArray[np.float64]]
    """Of each document, by name of the n-gram model. [D]"""
    sample: Sample | None
    """What the n-gram models were counted on; None without them."""
    patches: Counts | None = None
    """What a model of patches made of the raw bytes and their marks."""
    notes: Sequence[str] = ()
    """What else must be said of the figures."""

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``: sums and ratios."""
        values = {
            "split": self.split,
            "step": self.step,
            "window": self.windowing.seq_len,
            "stride": self.windowing.stride,
            "where": self.documents.only.where,
            "of_documents": self.documents.of_documents,
            **self._part(np.arange(len(self.documents))),
        }
        if self.notes:
            values["notes"] = [*self.notes]
        if self.sample is not None:
            values["ngrams_counted_on"] = self.sample.to_dict()
        if self.patches is not None:
            values["patches"] = self.patches._asdict()
        if self.documents.by is not None:
            values["by"] = {self.documents.by: {name: self._part(of) for name, of in self.documents.members().items()}}
        return values

    def _part(self, of_K: NDArray[np.intp]) -> dict[str, Any]:
        """The figures of some documents; no ratios if they have no bytes at all."""
        sizes_K = self.documents.raw_bytes_D[of_K]
        views = {name: self._figures(sums_3D[:, of_K], sizes_K) for name, sums_3D in self.views.items()}
        for name, figures in views.items():
            figures["unit_lengths_counted"] = self.unit_lengths_counted[name]
        return {
            "documents": len(of_K),
            "raw_bytes": int(sizes_K.sum()),
            "raw": self._figures(self.raw[:, of_K], sizes_K),
            "views": views,
            "compressors": {
                name: {"bytes": int(bytes_D[of_K].sum())} | ratio("bits_per_byte", 8.0 * bytes_D[of_K], sizes_K)
                for name, bytes_D in self.compressed_bytes.items()
            },
            "ngrams": {
                name: {"bits": float(bits_D[of_K].sum())} | ratio("bits_per_byte", bits_D[of_K], sizes_K)
                for name, bits_D in self.ngram_bits.items()
            },
        }

    @staticmethod
    def _figures(sums_3K: NDArray[np.float64], sizes_K: NDArray[np.int64]) -> dict[str, Any]:
        symbols_K, bits_K, full_bits_K = sums_3K
        return {
            "symbols": int(symbols_K.sum()),
            "bits": float(bits_K.sum()),
            **ratio("bits_per_byte", bits_K, sizes_K),
            "full_softmax_bits": float(full_bits_K.sum()),
            **ratio("full_softmax_bits_per_byte", full_bits_K, sizes_K),
        }

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        values = self.to_dict()
        lines = [
            f"{self.split}: {self.documents}, {values['raw_bytes']:,} raw bytes; weights of step {self.step}; "
            f"window {self.windowing.seq_len}, stride {self.windowing.stride}",
            "",
            f"{'':24}{'bits per raw byte':>20}{'full softmax':>14}{'symbols':>14}",
            _line("model, raw bytes", values["raw"]),
            *(_line(f"model, view {name}{_mark(found)}", found) for name, found in values["views"].items()),
            *(_line(name, found) for name, found in (values["compressors"] | values["ngrams"]).items()),
            "",
            "± is the standard error over documents",
        ]
        if self.patches is not None:
            lines.append(f"patches: {self.patches}")
        if any(_mark(found) for found in values["views"].values()):
            lines.append("* the symbols leave out how many bytes each unit has, without which they do not decode")
        if self.sample is not None:
            lines.append(f"n-grams: a byte after n − 1 others, Kneser–Ney smoothing, counted on {self.sample}")
        lines += self.notes
        for by, groups in values.get("by", {}).items():
            lines += ["", *_group_table(by, groups)]
        return "\n".join(lines)


def ratio(name: str, bits_K: NDArray[np.floating], sizes_K: NDArray[np.int64]) -> dict[str, float]:
    """Bits per raw byte; its standard error if at least two documents have bytes; nothing if none has."""
    raw_bytes, bits = int(sizes_K.sum()), float(bits_K.sum())
    if not raw_bytes:
        return {}
    if np.count_nonzero(sizes_K) < 2:
        return {name: bits / raw_bytes}
    return {name: bits / raw_bytes, f"{name}_standard_error": jackknife_error(bits_K, sizes_K)}


def _mark(found: dict[str, Any]) -> str:
    return "" if found["unit_lengths_counted"] else " *"


def _line(name: str, found: dict[str, Any]) -> str:
    line = f"{name:24}{_with_error(found):>20}"
    if "symbols" in found:
        line += f"{found['full_softmax_bits_per_byte']:14.4f}{found['symbols']:14,}"
    return line


def _with_error(found: dict[str, Any]) -> str:
    if "bits_per_byte" not in found:
        return "–"
    error = found.get("bits_per_byte_standard_error")
    return f"{found['bits_per_byte']:.4f}" + ("" if error is None else f" ± {error:.4f}")


def _group_table(by: str, groups: dict[str, Any]) -> list[str]:
    """Bits per raw byte of every group, one per line."""
    names = ["raw", *next(iter(groups.values()))["views"]]
    width = max(len(by), *(len(name) for name in groups)) + 2
    lines = [f"{by:{width}}{'documents':>12}{'raw bytes':>14}" + "".join(f"{name:>20}" for name in names)]
    for name, part in groups.items():
        found = [part["raw"], *part["views"].values()]
        figures = "".join(f"{_with_error(each):>20}" for each in found)
        lines.append(f"{name:{width}}{part['documents']:12,}{part['raw_bytes']:14,}{figures}")
    return lines
