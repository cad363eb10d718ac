"""Write: read the kept documents again and put each shard on disk, base and all views, block by block.

This is where a byte becomes a symbol: a block of documents is read, checked against its digests, handed to every
codec, and written. Memory: one block, its symbols, and what the codecs hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.building.fit import FittedView, open_views
from pcdata.building.kill_points import kill_point
from pcdata.building.options import BuildOptions
from pcdata.building.plan import PlannedShard
from pcdata.building.records import Metadata
from pcdata.building.reread import read_pieces
from pcdata.building.workspace import Pieces, Workspace
from pcdata.codecs.base import Codec, columns_fault, naming
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.histogram import BIT_LENGTHS, unit_histogram
from pcdata.dataset.manifest import BaseShard, FileEntry, ViewShard
from pcdata.dataset.schema import BLOCK_RAW_BYTES, KeptColumn, ViewTypes, base_schema, view_schema
from pcdata.dataset.shard import ShardWriter, base_batch, view_batch
from pcdata.errors import CodecError

BLOCK_METADATA_BYTES = 64_000_000
"""A record batch is closed early where paths and kept columns hold more: a column of text ends at 2 GiB."""


@dataclass(frozen=True)
class WriteTask:
    """Write some shards, one after another."""

    options: BuildOptions
    shards: tuple[PlannedShard, ...]

    @property
    def raw_bytes(self) -> int:
        return sum(shard.raw_bytes for shard in self.shards)


@dataclass(frozen=True)
class WrittenView:
    """One view of a shard that is on disk."""

    shard: ViewShard
    histogram: list[int]
    """Entry k counts the units of 2^(k-1) … 2^k - 1 raw bytes."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WrittenView:
        """The inverse of ``asdict``."""
        shard = values["shard"]
        return cls(ViewShard(**{**shard, "file": FileEntry(**shard["file"])}), values["histogram"])


@dataclass(frozen=True)
class WrittenShard:
    """A shard that is on disk, all its files complete."""

    base: BaseShard
    views: dict[str, WrittenView]
    languages: dict[str, tuple[int, int]]
    """Documents and raw bytes by language."""


def pending_writes(options: BuildOptions, workspace: Workspace, shards: tuple[PlannedShard, ...]) -> list[WriteTask]:
    """The shards that are not done: a task each, or all in one where there is one worker, which then need not wait for
    the disk between them."""
    done = set(workspace.names("done/*.json"))
    pending = tuple(shard for shard in shards if _done(shard) not in done)
    anchored = options.anchored()
    if pending and options.workers == 1 and options.engine == "process":
        return [WriteTask(anchored, pending)]
    return [WriteTask(anchored, (shard,)) for shard in pending]


def written(workspace: Workspace, shard: PlannedShard) -> WrittenShard:
    """What was recorded of a shard when it was done."""
    return _from_json(workspace.read_json(_done(shard)))


def record_written(workspace: Workspace, shard: PlannedShard, result: WrittenShard) -> None:
    """Note that a shard is done: its files are all there."""
    workspace.write_json(_done(shard), asdict(result))


def _done(shard: PlannedShard) -> str:
    return f"done/{shard.name}.json"


def run_write(task: WriteTask, advance: Callable[[int], None]) -> None:
    """Write some shards' files, and of each the record that it is done; ``advance`` is told the raw bytes written."""
    workspace = Workspace(task.options.output)
    opened = open_views(workspace)
    unsettled: list[_Shard] = []
    with ThreadPoolExecutor(1 + len(opened)) as threads:  # syncing and hashing let go of the interpreter's lock
        try:
            for planned in task.shards:
                unsettled.append(_Shard(task.options, planned, opened, threads))
                for block in _blocks(task.options, workspace, planned):
                    unsettled[-1].write(block)
                    advance(block.raw_bytes)
                while len(unsettled) > 1:  # the one before was synced meanwhile
                    unsettled.pop(0).settle(workspace)
            unsettled.pop().settle(workspace)
        except BaseException:
            threads.shutdown()  # no file is removed while it is being finished
            for shard in unsettled:
                shard.abandon()
            raise


class _Shard:
    """The files of a shard that is being written. Each is synced and hashed as soon as its last block is there, while
    the next view, or the next shard, is made."""

    def __init__(
        self,
        options: BuildOptions,
        planned: PlannedShard,
        opened: Sequence[tuple[FittedView, Codec]],
        threads: ThreadPoolExecutor,
    ) -> None:
        self._planned = planned
        self._opened = opened
        self._threads = threads
        self._views = [ViewFile(view.name, codec.types, options.output, planned.name) for view, codec in opened]
        self._base = BaseFile(options.output, planned.name, options.kept_columns)
        self._finished: list[Future[Any]] = []

    def write(self, block: Block) -> None:
        """Write a block to all files."""
        self._base.write(block)
        self._finish_after(block, self._base)
        for file, (view, codec) in zip(self._views, self._opened, strict=True):
            file.write(block.doc_ids, encoded(view, codec, block.raw))
            self._finish_after(block, file)

    def _finish_after(self, block: Block, file: BaseFile | ViewFile) -> None:
        if block.is_last:
            self._finished.append(self._threads.submit(file.finish))

    def settle(self, workspace: Workspace) -> None:
        """Wait for the files, and note that the shard is done."""
        base, *views = [finished.result() for finished in self._finished]
        by_name = {file.name: view for file, view in zip(self._views, views, strict=True)}
        record_written(workspace, self._planned, WrittenShard(base, by_name, self._base.languages))
        kill_point("write.done")

    def abandon(self) -> None:
        """Remove what is not finished."""
        for writer in (self._base.file, *(view.file for view in self._views)):
            writer.abandon()


@dataclass
class Block:
    """Documents that will be one record batch."""

    doc_ids: bytes
    raw_bytes: int
    raw: list[bytes] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    document_bytes: list[int] = field(default_factory=list)
    is_last: bool = False
    """Of its shard."""


def _blocks(options: BuildOptions, workspace: Workspace, planned: PlannedShard) -> Iterator[Block]:
    pieces = workspace.read_pieces(planned.pieces)
    written = 0
    for rows in split_blocks(pieces):
        for raw, metadata in _within_bounds(read_pieces(options, workspace, rows, stay_open=True)):
            first, written = written, written + len(raw)
            some = pieces[first:written]
            yield Block(
                doc_ids=some["part"].tobytes(),
                raw_bytes=int(some["length"].sum()),
                raw=raw,
                metadata=metadata,
                starts=some["start"].tolist(),
                document_bytes=some["document_bytes"].tolist(),
                is_last=written == len(pieces),
            )


def _within_bounds(documents: Iterator[tuple[bytes, Metadata]]) -> Iterator[tuple[list[bytes], list[Metadata]]]:
    """All of them, in more than one batch only if paths and kept columns hold too much for one."""
    raws: list[bytes] = []
    all_metadata: list[Metadata] = []
    bound = MetadataBound()
    for raw, metadata in documents:
        if bound.begins_block(metadata.size):
            yield raws, all_metadata
            raws, all_metadata = [], []
        raws.append(raw)
        all_metadata.append(metadata)
    yield raws, all_metadata


class MetadataBound:
    """Says where a record batch ends early, told the metadata's bytes of one document after another."""

    def __init__(self) -> None:
        self._held = 0

    def begins_block(self, size: int) -> bool:
        """Whether the next document, with so many bytes of metadata, begins a new record batch. The first does not."""
        begins = bool(self._held) and self._held + size > BLOCK_METADATA_BYTES
        self._held = size if begins else self._held + size
        return begins


def split_blocks(pieces: Pieces) -> Iterator[Pieces]:
    """The pieces of each record batch of a shard, by their raw bytes."""
    ends = np.cumsum(pieces["length"], dtype=np.int64)
    first = begun = 0
    while first < len(pieces):
        end = int(np.searchsorted(ends, begun + BLOCK_RAW_BYTES)) + 1
        yield pieces[first:end]
        first, begun = end, int(ends[min(end, len(ends)) - 1])


class BaseFile:
    """The base file of a shard."""

    def __init__(self, output: Path, shard: str, kept: Sequence[KeptColumn]) -> None:
        self._kept = kept
        self.file = ShardWriter(output, f"base/{shard}.arrow", base_schema(kept))
        self.languages: dict[str, tuple[int, int]] = {}
        self._block_documents: list[int] = []
        self._raw_bytes = 0

    def write(self, block: Block) -> None:
        metadata = block.metadata
        self.file.write(
            base_batch(
                block.doc_ids,
                [one.path for one in metadata],
                [one.lang for one in metadata],
                [one.source for one in metadata],
                block.starts,
                block.document_bytes,
                block.raw,
                {column: [one.kept[place] for one in metadata] for place, column in enumerate(self._kept)},
            )
        )
        self._block_documents.append(len(block.raw))
        self._raw_bytes += block.raw_bytes
        for one, raw in zip(metadata, block.raw, strict=True):
            documents, size = self.languages.get(one.lang, (0, 0))
            self.languages[one.lang] = (documents + 1, size + len(raw))

    def finish(self) -> BaseShard:
        entry = self.file.finish()
        kill_point("write.base")
        return BaseShard(entry, sum(self._block_documents), self._raw_bytes, tuple(self._block_documents))


def encoded(view: FittedView, codec: Codec, raw: list[bytes]) -> ViewColumns:
    """Some documents in a view. Raises ``CodecError`` if the codec does not keep what it promises."""
    with naming(view):
        columns = codec.encode(raw)
    fault = columns_fault(codec.types, len(raw), columns)
    if fault is not None:
        raise CodecError(f"view {view.name}: codec {view.codec} breaks its own promise: {fault}; mend the codec")
    return columns


class ViewFile:
    """The file of one view of a shard."""

    def __init__(self, name: str, types: ViewTypes, output: Path, shard: str) -> None:
        self.name = name
        self._types = types
        self.file = ShardWriter(output, f"views/{name}/{shard}.arrow", view_schema(types))
        self._symbols = 0
        self._histogram = np.zeros(BIT_LENGTHS, np.int64)

    def write(self, doc_ids: bytes, columns: ViewColumns) -> None:
        self.file.write(view_batch(doc_ids, columns, self._types))
        self._symbols += len(columns.symbols)
        self._histogram += unit_histogram(columns.unit_bytes)

    def finish(self) -> WrittenView:
        entry = self.file.finish()
        kill_point("write.view")
        histogram = np.trim_zeros(self._histogram, "b").tolist()
        return WrittenView(ViewShard(entry, self._symbols, int(self._histogram.sum())), histogram)


def _from_json(data: dict[str, Any]) -> WrittenShard:
    base = data["base"]
    views = {name: WrittenView.from_json(view) for name, view in data["views"].items()}
    return WrittenShard(
        BaseShard(FileEntry(**base["file"]), base["documents"], base["raw_bytes"], tuple(base["block_documents"])),
        views,
        {lang: (documents, size) for lang, (documents, size) in data["languages"].items()},
    )
