"""A small dataset of readable text with a train and a val split, and the settings of a run that takes seconds."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

from pcdata.dataset import Dataset, Manifest
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.manifest import MANIFEST, REJECTS, Base, BaseShard, View, ViewShard, fingerprint
from pcdata.dataset.schema import BASE_SCHEMA, ViewTypes, view_schema
from pcdata.dataset.shard import ShardWriter, base_batch, view_batch, write_file
from pcdata.dataset.vocab import RAW_IDS
from pctrain.model.scoring import Alphabet

VIEW = "triples"
TYPES = ViewTypes(n_symbols=512, max_unit_bytes=3, max_unit_symbols=1)

IDS = {VIEW: Alphabet(5, RAW_IDS, TYPES.n_symbols)}
"""As ``evaluate`` wants them."""

WORDS = ["the", "cat", "sat", "on", "mats", "and", "saw", "small", "birds", "sing", "né", "über", "猫", "over"]

SETTINGS = [
    "data.seq_len=64",
    "data.rows=4",
    "model.width=32",
    "model.layers=2",
    "model.attention_heads=2",
    "model.kv_heads=1",
    "model.hidden=48",
    "train.steps=12",
    "train.lr_warmup_steps=2",
    "train.log_every=2",
    "train.eval_every=4",
    "train.checkpoint_every=4",
    "train.eval_bytes=500",
    'train.device="cpu"',
]


def make_texts(count: int, seed: int, n_words: int = 40) -> list[bytes]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 2 * n_words, count)
    return [" ".join(rng.choice(WORDS, size)).encode() + b" %d" % index for index, size in enumerate(sizes)]


def triples(raw: bytes) -> np.ndarray:
    """A symbol per three bytes (the last may stand for fewer), from the bytes alone."""
    pieces = [raw[start : start + 3] for start in range(0, len(raw), 3)]
    return np.array([(sum((i + 1) * 37 * byte for i, byte in enumerate(piece))) % 512 for piece in pieces], np.uint16)


def write_dataset(root: Path, train: Sequence[bytes], val: Sequence[bytes], continued: Sequence[int] = ()) -> Dataset:
    """One shard per split; ``continued`` are the numbers of val documents that are later parts of a cut document."""
    splits = {"train": (list(train), []), "val": (list(val), list(continued))}
    bases: dict[str, tuple[BaseShard, ...]] = {}
    views: dict[str, tuple[ViewShard, ...]] = {}
    for split, (documents, parts) in splits.items():
        ids = b"".join(hashlib.blake2b(raw, digest_size=16).digest() for raw in documents)
        names = [b"%s-%d" % (split.encode(), index) for index in range(len(documents))]
        starts = [5 if index in parts else 0 for index in range(len(documents))]
        blanks = [""] * len(documents)
        writer = ShardWriter(root, f"base/{split}-00000.arrow", BASE_SCHEMA)
        ends = [start + len(raw) for start, raw in zip(starts, documents, strict=True)]
        writer.write(base_batch(ids, names, blanks, blanks, starts, ends, documents))
        n_bytes = sum(map(len, documents))
        bases[split] = (BaseShard(writer.finish(), len(documents), n_bytes, (len(documents),)),)
        views[split] = (_write_view(root, split, ids, documents),)
    base_print = fingerprint([shard.file for shards in bases.values() for shard in shards])
    view_print = fingerprint([shard.file for shards in views.values() for shard in shards])
    manifest = Manifest(
        options={},
        base=Base(base_print, bases, {}),
        views=(_view(views, view_print),),
        next_slot=1,
        next_id=RAW_IDS + TYPES.n_symbols,
        rejects={},
        rejects_file=write_file(root, REJECTS, b""),
        versions={},
    )
    write_file(root, MANIFEST, manifest.to_bytes())
    return Dataset(root)


def saved_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """What lies in a checkpoint's folder of tensors, whole, by how many processes it may have been written."""
    reader = HuggingFaceStorageReader(str(folder))
    empty = {name: torch.zeros(each.size) for name, each in reader.read_metadata().state_dict_metadata.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        state_dict_loader.load(empty, storage_reader=reader, no_dist=True)
    return empty


def make_dataset(root: Path, seed: int = 0) -> Dataset:
    return write_dataset(root, make_texts(60, seed), make_texts(8, seed + 1000), continued=(3,))


def _write_view(root: Path, split: str, ids: bytes, documents: Sequence[bytes]) -> ViewShard:
    symbols = [triples(raw) for raw in documents]
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in symbols])]).astype(np.int64)
    sizes = [np.diff(np.minimum(np.arange(0, len(raw) + 3, 3), len(raw))) for raw in documents]
    columns = ViewColumns(
        np.concatenate(symbols), offsets, np.concatenate(sizes).astype(TYPES.unit_bytes_dtype), None, offsets
    )
    writer = ShardWriter(root, f"views/{VIEW}/{split}-00000.arrow", view_schema(TYPES))
    writer.write(view_batch(ids, columns, TYPES))
    return ViewShard(writer.finish(), int(offsets[-1]), int(offsets[-1]))


def _view(splits: dict[str, tuple[ViewShard, ...]], print_: str) -> View:
    return View(
        name=VIEW,
        codec="made",
        parameters={},
        backends={},
        fitted_on=None,
        artifact=(),
        versions={},
        ids="own",
        slot=0,
        first_id=RAW_IDS,
        n_symbols=TYPES.n_symbols,
        max_unit_bytes=TYPES.max_unit_bytes,
        max_unit_symbols=TYPES.max_unit_symbols,
        units_independent=True,
        unit_bytes_histogram=(),
        splits=splits,
        fingerprint=print_,
    )
