"""Datasets of made-up documents, written fast, for benchmarks in which their number matters and not what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pcdata.dataset import Dataset, Manifest
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.manifest import MANIFEST, REJECTS, Base, BaseShard, View, ViewShard
from pcdata.dataset.schema import BASE_SCHEMA, ViewTypes, view_schema
from pcdata.dataset.shard import ShardWriter, base_batch, view_batch, write_file
from pcdata.dataset.vocab import RAW_IDS

VIEW = "quads"
"""A symbol for each four bytes, one of 16,384."""
_TYPES = ViewTypes(16_384, 4, 1)
_SHARD_BLOCKS = 128


def made_up(folder: Path, documents: int, mean_bytes: int = 96, block_documents: int = 500) -> Dataset:
    """``documents`` of random bytes, ``mean_bytes`` on average, all in ``train``.

    Blocks of 500 give a million documents as many blocks as one of real size has, of 16 kB each.
    """
    random = np.random.default_rng(documents)
    bases: list[BaseShard] = []
    views: list[ViewShard] = []
    for first in range(0, documents, _SHARD_BLOCKS * block_documents):
        end = min(documents, first + _SHARD_BLOCKS * block_documents)
        counts = [min(block_documents, end - begin) for begin in range(first, end, block_documents)]
        base = ShardWriter(folder, f"base/train-{len(bases):05}.arrow", BASE_SCHEMA)
        view = ShardWriter(folder, f"views/{VIEW}/train-{len(bases):05}.arrow", view_schema(_TYPES))
        raw_bytes = 0
        for lengths in _lengths(random, counts, mean_bytes):
            raw_bytes += _write_block(random, lengths, base, view)
        bases.append(BaseShard(base.finish(), end - first, raw_bytes, tuple(counts)))
        views.append(ViewShard(view.finish(), raw_bytes // 4, raw_bytes // 4))
    manifest = _manifest(folder, tuple(bases), tuple(views))
    write_file(folder, MANIFEST, manifest.to_bytes())
    return Dataset(folder)


def _lengths(random: np.random.Generator, counts: list[int], mean_bytes: int) -> Iterator[np.ndarray]:
    for count in counts:
        yield 4 * random.integers(1, mean_bytes // 2, count)


def _write_block(random: np.random.Generator, lengths: np.ndarray, base: ShardWriter, view: ShardWriter) -> int:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    size, n = int(offsets[-1]), len(lengths)
    text = random.bytes(size)
    raw = [text[begin:end] for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    ids = random.bytes(16 * n)
    base.write(base_batch(ids, [b"made-up"] * n, ["Python"] * n, ["made up"] * n, [0] * n, lengths.tolist(), raw))
    symbols = np.frombuffer(text, np.uint32) % 16_384
    units = np.full(size // 4, 4, np.uint8)
    columns = ViewColumns(symbols.astype(np.uint16), offsets // 4, units, None, offsets // 4)
    view.write(view_batch(ids, columns, _TYPES))
    return size


def _manifest(folder: Path, bases: tuple[BaseShard, ...], views: tuple[ViewShard, ...]) -> Manifest:
    view = View(
        name=VIEW,
        codec="made-up",
        parameters={},
        backends={},
        fitted_on=None,
        artifact=(),
        versions={},
        ids="own",
        slot=0,
        first_id=RAW_IDS,
        n_symbols=_TYPES.n_symbols,
        max_unit_bytes=_TYPES.max_unit_bytes,
        max_unit_symbols=_TYPES.max_unit_symbols,
        units_independent=True,
        unit_bytes_histogram=(),
        splits={"train": views},
        fingerprint="0" * 32,
    )
    rejects = write_file(folder, REJECTS, b"")
    base = Base("0" * 32, {"train": bases}, {})
    return Manifest({}, base, (view,), 1, RAW_IDS + _TYPES.n_symbols, {}, rejects, {})
