"""Which documents are probed: some of val, so none that a compressor was fitted on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pcdata.building.options import BuildOptions
from pcdata.building.reread import read_pieces
from pcdata.building.trial import Trial
from pcdata.building.workspace import PIECE, Pieces
from pcdata.codecs.base import require_range
from pcdata.dataset.splitmix import key_of
from pcdata.errors import InputError, OptionError
from pcdata.probing.edits import SAMPLE
from pcdata.probing.results import lengths_text


@dataclass(frozen=True)
class ProbeOptions:
    """The command line of ``pcdata probe``, checked."""

    build: BuildOptions
    """Inputs, split, fitting sample and compressors; nothing is written to its output."""
    documents: int = 200
    """The most that are probed."""
    document_bytes: tuple[int, int] = (2_000, 64_000)
    """Shortest and longest, inclusive: short enough for exact distances, long enough to have a middle. Documents
    without a byte are never probed."""
    seed: int = 0
    """Of the choice of documents and of every edit."""

    def __post_init__(self) -> None:
        require_range("--documents", self.documents, 1, 1_000_000)
        require_range("--seed", self.seed, 0, 2**63 - 1)
        shortest, longest = self.document_bytes
        if not shortest <= longest:
            raise OptionError(f"--document-bytes must be A:B with A at most B, got {shortest}:{longest}")
        if not self.build.requests:
            raise OptionError("no compressor given; name at least one: --compressor bpe")
        if not self.build.val_fraction:
            raise OptionError("--val-fraction 0 leaves no documents to probe that compressors are not fitted on")


@dataclass(frozen=True)
class Sample:
    raws: tuple[bytes, ...]
    """In input order."""
    of_documents: int
    """How many of val have such lengths."""


def draw_sample(options: ProbeOptions, planned: Trial) -> Sample:
    """The documents of val of the right lengths with the smallest draws.

    Raises ``InputError`` if there is none of such a length.
    """
    shards = [shard for shard in planned.plan.shards if shard.split == "val"]
    pieces = np.concatenate([np.zeros(0, PIECE), *(planned.workspace.read_pieces(shard.pieces) for shard in shards)])
    shortest, longest = options.document_bytes
    fitting = pieces[(pieces["length"] >= max(1, shortest)) & (pieces["length"] <= longest)]
    if not len(fitting):
        lengths = pieces["length"]
        raise InputError(
            f"none of {len(pieces)} documents of val has {lengths_text(shortest, longest)}, but {lengths.min():,} "
            f"to {lengths.max():,}; give other --document-bytes, or raise --val-fraction"
        )
    draws = np.fromiter(_draws(options.seed, fitting["part"]), np.uint64, len(fitting))
    chosen = fitting[np.sort(np.argsort(draws, kind="stable")[: options.documents])]
    raws = tuple(raw for raw, _ in read_pieces(planned.options, planned.workspace, chosen))
    return Sample(raws, len(fitting))


def _draws(seed: int, ids: Pieces) -> Iterator[int]:
    for low, high in ids.tolist():
        yield key_of(seed, SAMPLE, low, high)
