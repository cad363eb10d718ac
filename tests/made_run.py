"""A small dataset of readable text with a train and a val split, and the settings of a run that takes seconds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

from pcdata.dataset import Dataset
from pcdata.dataset.assemble import EncodedBlock, assemble
from pcdata.dataset.block import Block, Metadata
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.listing import Promised
from pcdata.dataset.manifest import FittedView
from pcdata.dataset.schema import ViewTypes
from pcdata.dataset.vocab import RAW_IDS, ViewIds
from pctrain.config import RunConfig, resolve

VIEW = "triples"
TYPES = ViewTypes(n_symbols=512, max_unit_bytes=3, max_unit_symbols=1)

IDS = {VIEW: ViewIds(0, RAW_IDS, TYPES.n_symbols)}
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
    "optim.lr_warmup_steps=2",
    "log.every=2",
    "eval.every=4",
    "checkpoint.every=4",
    "eval.bytes=500",
    'runtime.device="cpu"',
]


def settings(*more: str) -> RunConfig:
    """``SETTINGS`` and more."""
    return resolve(None, None, [*SETTINGS, *more])


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

    def encoded(split: str) -> EncodedBlock:
        documents, parts = splits[split]
        block = Block.of(documents, [Metadata(b"%s-%d" % (split.encode(), n), "", "") for n in range(len(documents))])
        block.starts = [5 if index in parts else 0 for index in range(len(documents))]
        block.document_bytes = [start + len(raw) for start, raw in zip(block.starts, documents, strict=True)]
        return block, {VIEW: _columns(documents)}

    view = FittedView(VIEW, "made", {}, {}, None, (), {}, "own"), Promised(TYPES, True)
    assemble(root, [(split, [encoded(split)]) for split in splits], [view])
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


def _columns(documents: Sequence[bytes]) -> ViewColumns:
    symbols = [triples(raw) for raw in documents]
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in symbols])]).astype(np.int64)
    sizes = [np.diff(np.minimum(np.arange(0, len(raw) + 3, 3), len(raw))) for raw in documents]
    return ViewColumns(
        np.concatenate(symbols), offsets, np.concatenate(sizes).astype(TYPES.unit_bytes_dtype), None, offsets
    )
