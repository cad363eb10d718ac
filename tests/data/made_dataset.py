"""A small real dataset without any codec: two views of made-up symbols, several shards, blocks of a few documents.

``letters`` has one symbol per unit of 1 … 5 bytes; ``chunks`` has units of 1 … 60 bytes and 1 … 9 symbols, whose ids it
shares with the raw bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pcdata.dataset import Alignment, Dataset, Split, ViewIds
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.assemble import EncodedBlock, assemble
from pcdata.dataset.block import Block, Metadata
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.listing import Promised
from pcdata.dataset.manifest import MANIFEST, FittedView
from pcdata.dataset.schema import ViewTypes
from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS
from pctrain.config import DataConfig

LETTERS, CHUNKS = "letters", "chunks"
TYPES = {LETTERS: ViewTypes(1000, 5, 1), CHUNKS: ViewTypes(256, 60, 9)}
IDS = {LETTERS: ViewIds(0, RAW_IDS, 1000), CHUNKS: ViewIds(1, FIRST_BYTE, 256)}


in_order = partial(DataConfig, shuffle_rows=0)
"""Settings under which batches show the rows of the stream one after the other, so that documents can be read back."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One document in one view."""

    symbols: np.ndarray
    unit_bytes: np.ndarray
    unit_symbols: np.ndarray

    @property
    def points(self) -> Alignment:
        return Alignment(np.cumsum(self.unit_symbols), np.cumsum(self.unit_bytes))


def make_documents(count: int, seed: int, longest: int = 400) -> list[bytes]:
    """Random bytes, short documents more often, that differ in every view; the empty one among them, if several."""
    rng = np.random.default_rng(seed)
    documents = [b""] if count > 1 else []
    seen: set[tuple[str, bytes]] = set()
    while len(documents) < count:
        raw = rng.bytes(int(longest ** rng.random()) + 3)
        keys = {(view, encode(raw, view).symbols.tobytes()) for view in TYPES}
        if not keys & seen:
            seen |= keys
            documents.append(raw)
    return sorted(documents, key=lambda raw: hashlib.sha256(raw).digest())


def encode(raw: bytes, view: str) -> Encoded:
    """Symbols drawn from the document's own hash: no two documents, and no two places, look alike."""
    types = TYPES[view]
    digest = hashlib.sha256(view.encode() + raw).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    unit_bytes: list[int] = []
    while (left := len(raw) - sum(unit_bytes)) > 0:
        unit_bytes.append(min(left, int(rng.integers(1, types.max_unit_bytes + 1))))
    unit_symbols = rng.integers(1, types.max_unit_symbols + 1, len(unit_bytes))
    symbols = rng.integers(0, types.n_symbols, int(unit_symbols.sum()))
    return Encoded(symbols.astype(types.symbol_dtype), np.array(unit_bytes, np.int64), unit_symbols)


def write_dataset(
    root: Path,
    documents: Sequence[bytes],
    views: Sequence[str] = (LETTERS, CHUNKS),
    block_documents: int = 5,
    shard_blocks: int = 3,
    parts: Sequence[int] = (),
    unfinished: Sequence[int] = (),
) -> Dataset:
    """Write it as train split; ``parts`` are the numbers of documents that begin inside their input document, and
    ``unfinished`` of those that end inside it."""
    shards = _chunks(_chunks(list(enumerate(documents)), block_documents), shard_blocks)

    def encoded(block: list[tuple[int, bytes]]) -> EncodedBlock:
        raw = [document for _, document in block]
        made = Block.of(raw, [Metadata(b"%d" % index, "text", "made") for index, _ in block])
        made.starts = [100 if index in parts else 0 for index, _ in block]
        ends = [start + len(one) for start, one in zip(made.starts, raw, strict=True)]
        made.document_bytes = [end + 50 * (index in unfinished) for end, (index, _) in zip(ends, block, strict=True)]
        return made, {view: _columns(view, raw) for view in views}

    manifest = assemble(root, [("train", map(encoded, blocks)) for blocks in shards], [_view(name) for name in views])
    listed = tuple(replace(view, slot=IDS[view.name].slot, first_id=IDS[view.name].first_id) for view in manifest.views)
    manifest = replace(manifest, views=listed, next_slot=2, next_id=RAW_IDS + 1000)
    write_file(root, MANIFEST, manifest.to_bytes())
    return Dataset(root)


def make_split(root: Path, documents: Sequence[bytes], **options: object) -> Split:
    return write_dataset(root, documents, **options).split("train")  # type: ignore[arg-type]


def _columns(view: str, documents: Sequence[bytes]) -> ViewColumns:
    types, encoded = TYPES[view], [encode(raw, view) for raw in documents]
    return ViewColumns(
        np.concatenate([item.symbols for item in encoded]),
        _offsets([len(item.symbols) for item in encoded]),
        np.concatenate([item.unit_bytes for item in encoded]).astype(types.unit_bytes_dtype),
        np.concatenate([item.unit_symbols for item in encoded]).astype(types.unit_symbols_dtype)
        if types.unit_symbols_dtype
        else None,
        _offsets([len(item.unit_bytes) for item in encoded]),
    )


def _view(name: str) -> tuple[FittedView, Promised]:
    ids = "raw" if IDS[name].first_id == FIRST_BYTE else "own"
    return FittedView(name, "made", {}, {}, None, (), {}, ids), Promised(TYPES[name], True)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _chunks(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]
