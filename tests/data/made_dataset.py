"""A small real dataset without any codec: two views of made-up symbols, several shards, blocks of a few documents.

``letters`` has one symbol per unit of 1 … 5 bytes; ``chunks`` has units of 1 … 60 bytes and 1 … 9 symbols, whose ids it
shares with the raw bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pcdata.dataset import Alignment, Dataset, Manifest, Split, ViewIds
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.manifest import MANIFEST, REJECTS, Base, BaseShard, View, ViewShard
from pcdata.dataset.schema import BASE_SCHEMA, ViewTypes, view_schema
from pcdata.dataset.shard import ShardWriter, base_batch, view_batch, write_file
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
    bases: list[BaseShard] = []
    view_shards: dict[str, list[ViewShard]] = {view: [] for view in views}
    for number, blocks in enumerate(shards):
        writer = ShardWriter(root, f"base/train-{number:05}.arrow", BASE_SCHEMA)
        for block in blocks:
            raw = [document for _, document in block]
            starts = [100 if index in parts else 0 for index, _ in block]
            names = [b"%d" % index for index, _ in block]
            ends = [start + len(one) for start, one in zip(starts, raw, strict=True)]
            wholes = [end + 50 * (index in unfinished) for end, (index, _) in zip(ends, block, strict=True)]
            writer.write(base_batch(_ids(raw), names, ["text"] * len(raw), ["made"] * len(raw), starts, wholes, raw))
        counts = tuple(map(len, blocks))
        n_bytes = sum(len(raw) for block in blocks for _, raw in block)
        bases.append(BaseShard(writer.finish(), sum(counts), n_bytes, counts))
        for view in views:
            view_shards[view].append(_write_view(root, view, number, blocks))
    made = tuple(_view(name, tuple(view_shards[name])) for name in views)
    manifest = Manifest(
        options={},
        base=Base("0" * 32, {"train": tuple(bases)}, {}),
        views=made,
        next_slot=2,
        next_id=RAW_IDS + 1000,
        rejects={},
        rejects_file=write_file(root, REJECTS, b""),
        versions={},
    )
    write_file(root, MANIFEST, manifest.to_bytes())
    return Dataset(root)


def make_split(root: Path, documents: Sequence[bytes], **options: object) -> Split:
    return write_dataset(root, documents, **options).split("train")  # type: ignore[arg-type]


def _write_view(root: Path, view: str, number: int, blocks: list[list[tuple[int, bytes]]]) -> ViewShard:
    types = TYPES[view]
    writer = ShardWriter(root, f"views/{view}/train-{number:05}.arrow", view_schema(types))
    symbols = units = 0
    for block in blocks:
        encoded = [encode(raw, view) for _, raw in block]
        columns = ViewColumns(
            np.concatenate([item.symbols for item in encoded]),
            _offsets([len(item.symbols) for item in encoded]),
            np.concatenate([item.unit_bytes for item in encoded]).astype(types.unit_bytes_dtype),
            np.concatenate([item.unit_symbols for item in encoded]).astype(types.unit_symbols_dtype or np.uint8),
            _offsets([len(item.unit_bytes) for item in encoded]),
        )
        writer.write(view_batch(_ids([raw for _, raw in block]), columns, types))
        symbols, units = symbols + len(columns.symbols), units + len(columns.unit_bytes)
    return ViewShard(writer.finish(), symbols, units)


def _view(name: str, shards: tuple[ViewShard, ...]) -> View:
    types, ids = TYPES[name], IDS[name]
    return View(
        name=name,
        codec="made",
        parameters={},
        backends={},
        fitted_on=None,
        artifact=(),
        versions={},
        ids="raw" if ids.first_id == FIRST_BYTE else "own",
        slot=ids.slot,
        first_id=ids.first_id,
        n_symbols=types.n_symbols,
        max_unit_bytes=types.max_unit_bytes,
        max_unit_symbols=types.max_unit_symbols,
        units_independent=True,
        unit_bytes_histogram=(),
        splits={"train": shards},
        fingerprint="0" * 32,
    )


def _ids(documents: Sequence[bytes]) -> bytes:
    return b"".join(hashlib.blake2b(raw, digest_size=16).digest() for raw in documents)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _chunks(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]
