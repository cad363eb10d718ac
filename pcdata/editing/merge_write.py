"""Copying rows of several datasets into one shard: raw bytes, metadata, symbols and units, all unchanged.

A planned row is a ``Piece`` whose task is a split (``splits_of``), whose entry is a block of it, and whose line is the
row in the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pcdata.building.plan import PlannedShard
from pcdata.building.workspace import PIECE, Pieces, Workspace
from pcdata.building.write import MetadataBound, split_blocks
from pcdata.dataset import Dataset
from pcdata.dataset.block import Block, Metadata
from pcdata.dataset.columns import ViewColumns, offsets_of
from pcdata.dataset.reader import Split
from pcdata.dataset.schema import DOC_ID, DOC_ID_BYTES, LANG, PATH, RAW, SOURCE
from pcdata.dataset.writer import ShardWriter, abandoned_on_error

assert PIECE["part"].itemsize == DOC_ID_BYTES


@dataclass(frozen=True)
class MergeTask:
    folders: tuple[Path, ...]
    output: Path
    shard: PlannedShard


def splits_of(datasets: Sequence[Dataset]) -> list[Split]:
    """The splits that hold documents, of all datasets in order."""
    return [dataset.split(name) for dataset in datasets for name in dataset.splits]


def run_merge(task: MergeTask, advance: Callable[[int], None]) -> None:
    """Write one shard's files, then its completion record."""
    workspace = Workspace(task.output)
    datasets = [Dataset(folder) for folder in task.folders]
    splits, manifest = splits_of(datasets), datasets[0].manifest
    types = {view.name: view.types for view in manifest.views}
    files = ShardWriter(task.output, task.shard.name, types, manifest.kept_columns)
    with abandoned_on_error(files):
        for rows in _blocks(workspace.read_pieces(task.shard.pieces), splits):
            block = _block(rows, splits, [column.name for column in manifest.kept_columns])
            files.write(block, partial(_view_columns, rows, splits))
            advance(block.raw_bytes)
        written = files.finish()
    workspace.mark_done(task.shard.name, written)


def _blocks(pieces: Pieces, splits: list[Split]) -> Iterator[Pieces]:
    """The rows of each record batch, with the same boundaries as in a build."""
    for rows in split_blocks(pieces):
        bound = MetadataBound()
        first = 0
        for number, size in enumerate(_metadata_bytes(rows, splits)):
            if bound.begins_block(size):
                yield rows[first:number]
                first = number
        yield rows[first:]


def _metadata_bytes(rows: Pieces, splits: list[Split]) -> Iterator[int]:
    """Metadata bytes of each row, counted without copying."""
    for split, number, lines in _by_block(rows, splits):
        metadata = split.base(number).metadata
        columns = [metadata[name] for name in metadata.names if name not in (DOC_ID, RAW)]
        texts = [
            pc.binary_length(one) for one in columns if pa.types.is_string(one.type) or pa.types.is_binary(one.type)
        ]
        total = sum(size.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) for size in texts)
        yield from np.asarray(total)[lines].tolist()


def _by_block(rows: Pieces, splits: list[Split]) -> Iterator[tuple[Split, int, list[int]]]:
    """Runs of rows that are adjacent in a block of a dataset."""
    places = zip(rows["task"].tolist(), rows["entry"].tolist(), rows["line"].tolist(), strict=True)
    for (task, block), group in groupby(places, key=itemgetter(0, 1)):
        yield splits[task], block, [row for *_, row in group]


def _block(rows: Pieces, splits: list[Split], kept: list[str]) -> Block:
    block = Block(
        doc_ids=rows["part"].tobytes(),
        starts=rows["start"].tolist(),
        document_bytes=rows["document_bytes"].tolist(),
    )
    for split, number, lines in _by_block(rows, splits):
        base = split.base(number)
        names = [PATH, LANG, SOURCE, *kept]
        values = zip(*(base.metadata[name].take(np.array(lines)).to_pylist() for name in names), strict=True)
        block.metadata += [Metadata(path, lang, source, tuple(rest)) for path, lang, source, *rest in values]
        block.raw += [base.raw_of(line).tobytes() for line in lines]
    return block


def _view_columns(rows: Pieces, splits: list[Split], name: str) -> ViewColumns:
    """The symbols and units of the rows, concatenated."""
    places = [(split.view(name, block), line) for split, block, lines in _by_block(rows, splits) for line in lines]
    symbols = [view.symbols_of(line) for view, line in places]
    unit_bytes = [view.unit_bytes_of(line) for view, line in places]
    unit_symbols = [lengths for view, line in places if (lengths := view.unit_symbols_of(line)) is not None]
    return ViewColumns(
        np.concatenate(symbols),
        offsets_of([*map(len, symbols)]),
        np.concatenate(unit_bytes),
        np.concatenate(unit_symbols) if unit_symbols else None,
        offsets_of([*map(len, unit_bytes)]),
    )
