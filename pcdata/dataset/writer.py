"""Writing the files of a shard, block by block: one base file, and one file per view.

Builds, added views and merges all use this writer. ``listing`` turns its result, a ``WrittenShard``, into entries of
the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdata.dataset.arrow_writer import ArrowWriter
from pcdata.dataset.block import Block, base_batch, view_batch
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.histogram import BIT_LENGTHS, unit_histogram
from pcdata.dataset.manifest import BaseShard, ViewShard
from pcdata.dataset.schema import KeptColumn, ViewTypes, base_schema, view_schema
from pcdata.processes.kill_points import kill_point


@dataclass(frozen=True)
class WrittenBase:
    """A base file on disk."""

    shard: BaseShard
    languages: dict[str, tuple[int, int]]
    """Documents and raw bytes by language."""


@dataclass(frozen=True)
class WrittenView:
    """One view's file of a shard, on disk."""

    shard: ViewShard
    histogram: tuple[int, ...]
    """Entry k counts the units of 2^(k-1) … 2^k - 1 raw bytes."""


@dataclass(frozen=True)
class WrittenShard:
    base: WrittenBase
    views: dict[str, WrittenView]


class BaseWriter:
    def __init__(self, folder: Path, shard: str, kept: Sequence[KeptColumn] = ()) -> None:
        """``shard`` is its name, such as ``train-00000``."""
        self._kept = kept
        self._file = ArrowWriter(folder, f"base/{shard}.arrow", base_schema(kept))
        self._languages: dict[str, tuple[int, int]] = {}
        self._block_documents: list[int] = []
        self._raw_bytes = 0

    def write(self, block: Block) -> None:
        """Add a record batch; copies the raw bytes once."""
        self._file.write(base_batch(block, self._kept))
        self._block_documents.append(len(block.raw))
        self._raw_bytes += block.raw_bytes
        for one, raw in zip(block.metadata, block.raw, strict=True):
            documents, size = self._languages.get(one.lang, (0, 0))
            self._languages[one.lang] = (documents + 1, size + len(raw))

    def finish(self) -> WrittenBase:
        entry = self._file.finish()
        kill_point("write.base")
        counts = tuple(self._block_documents)
        return WrittenBase(BaseShard(entry, sum(counts), self._raw_bytes, counts), self._languages)

    def abandon(self) -> None:
        self._file.abandon()


class ViewWriter:
    def __init__(self, folder: Path, view: str, types: ViewTypes, shard: str) -> None:
        self._types = types
        self._file = ArrowWriter(folder, f"views/{view}/{shard}.arrow", view_schema(types))
        self._symbols = 0
        self._histogram = np.zeros(BIT_LENGTHS, np.int64)

    def write(self, doc_ids: bytes, columns: ViewColumns) -> None:
        """Add a record batch: the same documents as the base's."""
        self._file.write(view_batch(doc_ids, columns, self._types))
        self._symbols += len(columns.symbols)
        self._histogram += unit_histogram(columns.unit_bytes)

    def finish(self) -> WrittenView:
        entry = self._file.finish()
        kill_point("write.view")
        histogram = tuple(np.trim_zeros(self._histogram, "b").tolist())
        return WrittenView(ViewShard(entry, self._symbols, int(self._histogram.sum())), histogram)

    def abandon(self) -> None:
        self._file.abandon()


class ShardWriter:
    def __init__(
        self, folder: Path, shard: str, views: Mapping[str, ViewTypes], kept: Sequence[KeptColumn] = ()
    ) -> None:
        self.base = BaseWriter(folder, shard, kept)
        self.views = {name: ViewWriter(folder, name, types, shard) for name, types in views.items()}

    def write(self, block: Block, encoded: Callable[[str], ViewColumns]) -> None:
        """Write a block to all files; ``encoded`` is called once per view and returns its columns."""
        self.base.write(block)
        for name, view in self.views.items():
            view.write(block.doc_ids, encoded(name))

    def finish(self) -> WrittenShard:
        return WrittenShard(self.base.finish(), {name: view.finish() for name, view in self.views.items()})

    def abandon(self) -> None:
        self.base.abandon()
        for view in self.views.values():
            view.abandon()


@contextmanager
def abandoned_on_error(*writers: BaseWriter | ViewWriter | ShardWriter) -> Iterator[None]:
    """If the block raises, remove the unfinished files of these writers."""
    try:
        yield
    except BaseException:
        for writer in writers:
            writer.abandon()
        raise
