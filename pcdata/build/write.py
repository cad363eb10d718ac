"""Write: read the kept documents again and put each shard on disk, base and all views, block by block.

This is where a byte becomes a symbol: a block of documents is read, checked against its digests, handed to every
codec, and written. Memory: one block, its symbols, and what the codecs hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.build.faults import step
from pcdata.build.fit import FittedView, open_views
from pcdata.build.options import BuildOptions
from pcdata.build.plan import PlannedShard
from pcdata.build.records import Metadata
from pcdata.build.reread import read_pieces
from pcdata.build.state import BuildState
from pcdata.codecs.base import Codec, columns_fault
from pcdata.dataset.manifest import BaseShard, FileEntry, ViewShard
from pcdata.dataset.schema import BLOCK_RAW_BYTES, DOC_ID_BYTES, KeptColumn, ViewTypes, base_schema, view_schema
from pcdata.dataset.shard import ShardWriter, base_batch, view_batch
from pcdata.dataset.views import ViewColumns
from pcdata.errors import CodecError


@dataclass(frozen=True)
class WriteTask:
    """Write one shard."""

    options: BuildOptions
    shard: PlannedShard


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


def pending_writes(options: BuildOptions, state: BuildState, shards: tuple[PlannedShard, ...]) -> list[WriteTask]:
    """The shards that are not done."""
    done = set(state.names("done/*.json"))
    tasks = options.anchored()
    return [WriteTask(tasks, shard) for shard in shards if _done(shard) not in done]


def written(state: BuildState, shard: PlannedShard) -> WrittenShard:
    """What was recorded of a shard when it was done."""
    return _from_json(state.read_json(_done(shard)))


def record_written(state: BuildState, shard: PlannedShard, result: WrittenShard) -> None:
    """Note that a shard is done: its files are all there."""
    state.write_json(_done(shard), asdict(result))


def _done(shard: PlannedShard) -> str:
    return f"done/{shard.name}.json"


def run_write(task: WriteTask, advance: Callable[[int], None]) -> None:
    """Write one shard's files, then the record that it is done; ``advance`` is told the raw bytes written."""
    state = BuildState(task.options.output)
    output, shard = task.options.output, task.shard.name
    opened = open_views(state)
    views = [ViewFile(view.name, codec.types, output, shard) for view, codec in opened]
    base = BaseFile(output, shard, task.options.kept_columns)
    writers: list[BaseFile | ViewFile] = [base, *views]
    try:
        for block in _blocks(task, state):
            base.write(block)
            for file, (view, codec) in zip(views, opened, strict=True):
                file.write(block.doc_ids, encoded(view, codec, block.raw))
            advance(sum(map(len, block.raw)))
        with ThreadPoolExecutor(len(writers)) as threads:  # syncing and hashing let go of the interpreter's lock
            base_done = threads.submit(base.finish)
            views_done = [threads.submit(view.finish) for view in views]
        result = WrittenShard(
            base_done.result(),
            {view.name: done.result() for view, done in zip(views, views_done, strict=True)},
            base.languages,
        )
    except BaseException:
        for writer in writers:
            writer.file.abandon()
        raise
    record_written(state, task.shard, result)
    step("write.done")


@dataclass
class Block:
    """Documents that will be one record batch."""

    doc_ids: bytearray = field(default_factory=bytearray)
    raw: list[bytes] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    document_bytes: list[int] = field(default_factory=list)
    raw_bytes: int = 0


def _blocks(task: WriteTask, state: BuildState) -> Iterator[Block]:
    pieces = state.read_pieces(task.shard.pieces)
    ids = pieces["part"].tobytes()
    block = Block()
    starts, document_bytes = pieces["start"], pieces["document_bytes"]
    for row, (raw, metadata) in enumerate(read_pieces(task.options, state, pieces, stay_open=True)):
        block.doc_ids += ids[row * DOC_ID_BYTES : (row + 1) * DOC_ID_BYTES]
        block.raw.append(raw)
        block.metadata.append(metadata)
        block.starts.append(int(starts[row]))
        block.document_bytes.append(int(document_bytes[row]))
        block.raw_bytes += len(raw)
        if block.raw_bytes >= BLOCK_RAW_BYTES:
            yield block
            block = Block()
    if block.raw:
        yield block


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
                bytes(block.doc_ids),
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
        step("write.base")
        return BaseShard(entry, sum(self._block_documents), self._raw_bytes, tuple(self._block_documents))


def encoded(view: FittedView, codec: Codec, raw: list[bytes]) -> ViewColumns:
    """Some documents in a view. Raises ``CodecError`` if the codec does not keep what it promises."""
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
        self._histogram = np.zeros(65, np.int64)

    def write(self, doc_ids: bytes | bytearray, columns: ViewColumns) -> None:
        self.file.write(view_batch(bytes(doc_ids), columns, self._types))
        self._symbols += len(columns.symbols)
        self._histogram += unit_histogram(columns.unit_bytes)

    def finish(self) -> WrittenView:
        entry = self.file.finish()
        step("write.view")
        histogram = np.trim_zeros(self._histogram, "b").tolist()
        return WrittenView(ViewShard(entry, self._symbols, int(self._histogram.sum())), histogram)


def unit_histogram(unit_bytes: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Count units by the bit length of their raw bytes: entry k has those of 2^(k-1) … 2^k - 1. Shape [65]."""
    if unit_bytes.dtype == np.uint8:
        sizes = np.bincount(unit_bytes, minlength=1)
        lengths = np.array([value.bit_length() for value in range(len(sizes))])
        return np.bincount(lengths, weights=sizes, minlength=65).astype(np.int64)
    return np.bincount(np.frexp(unit_bytes.astype(np.float64))[1], minlength=65)


def _from_json(data: dict[str, Any]) -> WrittenShard:
    base = data["base"]
    views = {name: WrittenView.from_json(view) for name, view in data["views"].items()}
    return WrittenShard(
        BaseShard(FileEntry(**base["file"]), base["documents"], base["raw_bytes"], tuple(base["block_documents"])),
        views,
        {lang: (documents, size) for lang, (documents, size) in data["languages"].items()},
    )
