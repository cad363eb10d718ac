"""The documents that are probed: some of val, so that no compressor was fitted on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pcdata.building.planning import Trial
from pcdata.building.reread import read_pieces
from pcdata.building.workspace import PIECE, Pieces
from pcdata.dataset.splitmix import key_of
from pcdata.errors import InputError
from pcdata.probing.edits import SAMPLE
from pcdata.probing.options import ProbeOptions
from pcdata.probing.results import lengths_text


@dataclass(frozen=True)
class Sample:
    raws: tuple[bytes, ...]
    """In input order."""
    of_documents: int
    """How many of val have the requested lengths."""


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
            f"no document of val has {lengths_text(shortest, longest)}: those there have {lengths.min():,} to "
            f"{lengths.max():,}; change --document-bytes, or raise --val-fraction"
        )
    draws = np.fromiter(_draws(options.seed, fitting["part"]), np.uint64, len(fitting))
    chosen = fitting[np.sort(np.argsort(draws, kind="stable")[: options.documents])]
    raws = tuple(raw for raw, _ in read_pieces(planned.options.inputs, planned.workspace, chosen))
    return Sample(raws, len(fitting))


def _draws(seed: int, ids: Pieces) -> Iterator[int]:
    for low, high in ids.tolist():
        yield key_of(seed, SAMPLE, low, high)
