"""Write: read the kept documents again and write each shard, base and all views, block by block.

This is where a byte becomes a symbol: a block of documents is read, checked against its digests, encoded by every
codec, and written. Memory: one block, its symbols, and what the codecs hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdata.building.fit import open_views
from pcdata.building.plan import PlannedShard
from pcdata.building.reread import read_pieces
from pcdata.building.workspace import Pieces, Workspace
from pcdata.codecs.base import Codec, columns_fault, naming
from pcdata.dataset.block import Block, Metadata
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.manifest import FittedView
from pcdata.dataset.schema import BLOCK_RAW_BYTES
from pcdata.dataset.writer import ShardWriter, WrittenBase, WrittenShard, WrittenView
from pcdata.errors import CodecError
from pcdata.inputs.options import InputOptions

BLOCK_METADATA_BYTES = 64_000_000
"""A record batch is closed early if paths and kept columns exceed this: a text column is limited to 2 GiB."""


@dataclass(frozen=True)
class WriteTask:
    """Write some shards, one after another."""

    options: InputOptions
    output: Path
    shards: tuple[PlannedShard, ...]

    @property
    def raw_bytes(self) -> int:
        return sum(shard.raw_bytes for shard in self.shards)


def pending_writes(
    options: InputOptions, workspace: Workspace, shards: tuple[PlannedShard, ...], in_one: bool
) -> list[WriteTask]:
    """The unfinished shards: one task each; or one task for all, which then need not wait for the disk in between."""
    done = workspace.done_shards
    pending = tuple(shard for shard in shards if shard.name not in done)
    tasks = [pending] if in_one and pending else [(shard,) for shard in pending]
    return [WriteTask(options.anchored(), workspace.output.absolute(), some) for some in tasks]


def run_write(task: WriteTask, advance: Callable[[int], None]) -> None:
    """Write some shards' files, and a completion record for each; ``advance`` gets the raw bytes written."""
    workspace = Workspace(task.output)
    opened = open_views(workspace)
    unsettled: list[_Shard] = []
    with ThreadPoolExecutor(1 + len(opened)) as threads:  # syncing and hashing release the interpreter's lock
        try:
            for planned in task.shards:
                unsettled.append(_Shard(task, planned, opened, threads))
                for block, is_last in _blocks(task.options, workspace, planned):
                    unsettled[-1].write(block, is_last)
                    advance(block.raw_bytes)
                while len(unsettled) > 1:  # the one before was synced meanwhile
                    unsettled.pop(0).settle(workspace)
            unsettled.pop().settle(workspace)
        except BaseException:
            threads.shutdown()  # so that no file is removed while a thread finishes it
            for shard in unsettled:
                shard.files.abandon()
            raise


class _Shard:
    """A shard that is being written. Each file is synced and hashed as soon as its last block is written, while the
    next view or shard is encoded."""

    def __init__(
        self,
        task: WriteTask,
        planned: PlannedShard,
        opened: Sequence[tuple[FittedView, Codec]],
        threads: ThreadPoolExecutor,
    ) -> None:
        self._name = planned.name
        self._opened = opened
        self._threads = threads
        types = {view.name: codec.types for view, codec in opened}
        self.files = ShardWriter(task.output, planned.name, types, task.options.kept_columns)
        self._base: Future[WrittenBase] | None = None
        self._views: dict[str, Future[WrittenView]] = {}

    def write(self, block: Block, is_last: bool) -> None:
        """Write a block to all files."""
        self.files.base.write(block)
        if is_last:
            self._base = self._threads.submit(self.files.base.finish)
        for view, codec in self._opened:
            file = self.files.views[view.name]
            file.write(block.doc_ids, encoded(view, codec, block.raw))
            if is_last:
                self._views[view.name] = self._threads.submit(file.finish)

    def settle(self, workspace: Workspace) -> None:
        """Wait for the files, and record that the shard is done."""
        assert self._base is not None
        views = {name: finished.result() for name, finished in self._views.items()}
        workspace.mark_done(self._name, WrittenShard(self._base.result(), views))


def _blocks(options: InputOptions, workspace: Workspace, planned: PlannedShard) -> Iterator[tuple[Block, bool]]:
    """The blocks of a shard, each with whether it is the last."""
    pieces = workspace.read_pieces(planned.pieces)
    written = 0
    for rows in split_blocks(pieces):
        for raw, metadata in _within_bounds(read_pieces(options, workspace, rows, stay_open=True)):
            first, written = written, written + len(raw)
            some = pieces[first:written]
            block = Block(
                doc_ids=some["part"].tobytes(),
                raw=raw,
                metadata=metadata,
                starts=some["start"].tolist(),
                document_bytes=some["document_bytes"].tolist(),
            )
            yield block, written == len(pieces)


def _within_bounds(documents: Iterator[tuple[bytes, Metadata]]) -> Iterator[tuple[list[bytes], list[Metadata]]]:
    """All documents, in more than one batch only if their paths and kept columns are too large for one."""
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
    """Decides where a record batch ends early, from the metadata bytes of each document."""

    def __init__(self) -> None:
        self._held = 0

    def begins_block(self, size: int) -> bool:
        """Whether the next document, with ``size`` bytes of metadata, begins a new record batch. The first does not."""
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


def encoded(view: FittedView, codec: Codec, raw: list[bytes]) -> ViewColumns:
    """Some documents in a view. Raises ``CodecError`` if the codec breaks a law."""
    with naming(view):
        columns = codec.encode(raw)
    fault = columns_fault(codec.types, len(raw), columns)
    if fault is not None:
        raise CodecError(f"view {view.name}: codec {view.codec} breaks its own promise: {fault}; fix the codec")
    return columns
