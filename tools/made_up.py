"""Made-up datasets, written fast, for benchmarks that depend on the number of documents and not on their content."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from pcdata.dataset import Dataset
from pcdata.dataset.assemble import EncodedBlock, assemble
from pcdata.dataset.block import Block, Metadata
from pcdata.dataset.columns import ViewColumns, offsets_of
from pcdata.dataset.listing import Promised
from pcdata.dataset.manifest import FittedView
from pcdata.dataset.schema import ViewTypes

VIEW = "quads"
"""One symbol per four bytes, one of 16,384."""
_TYPES = ViewTypes(16_384, 4, 1)
_SHARD_BLOCKS = 128


def made_up(folder: Path, documents: int, mean_bytes: int = 96, block_documents: int = 500) -> Dataset:
    """``documents`` of random bytes, ``mean_bytes`` on average, all in ``train``.

    With blocks of 500, a million documents are in as many blocks as a million of real size, of 16 kB each.
    """
    random = np.random.default_rng(documents)
    counts = [min(block_documents, documents - begin) for begin in range(0, documents, block_documents)]
    blocks = (_block(random, 4 * random.integers(1, mean_bytes // 2, count)) for count in counts)
    n_shards = -(-len(counts) // _SHARD_BLOCKS)
    view = FittedView(VIEW, "made-up", {}, {}, None, (), {}, "own"), Promised(_TYPES, True)
    assemble(folder, (("train", islice(blocks, _SHARD_BLOCKS)) for _ in range(n_shards)), [view])
    return Dataset(folder)


def _block(random: np.random.Generator, lengths: np.ndarray) -> EncodedBlock:
    offsets = offsets_of(lengths)
    size, n = int(offsets[-1]), len(lengths)
    text = random.bytes(size)
    raw = [text[begin:end] for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    metadata = [Metadata(b"made-up", "Python", "made up")] * n
    symbols = np.frombuffer(text, np.uint32) % 16_384
    units = np.full(size // 4, 4, np.uint8)
    columns = ViewColumns(symbols.astype(np.uint16), offsets // 4, units, None, offsets // 4)
    return Block(random.bytes(16 * n), raw, metadata, [0] * n, lengths.tolist()), {VIEW: columns}
