"""A byte model that is fitted in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pctrain.config import resolve
from pctrain.neural.fit import fit
from tests.made_run import write_dataset
from tests.strategies import library_files

SETTINGS = [
    "data.rows=16",
    "model.width=32",
    "model.layers=2",
    "model.attention_heads=4",
    "model.kv_heads=2",
    "model.hidden=48",
    "model.reach=12",
    "train.steps=24",
    "optim.lr=1e-2",
    "optim.lr_warmup_steps=4",
    "checkpoint.every=8",
    "eval.every=0",
    "eval.bytes=2000",
    'runtime.device="cpu"',
]


@pytest.fixture(scope="session")
def raw_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = library_files()
    parts = [file[start : start + 1500] for file in files for start in range(0, len(file), 1500)]
    return write_dataset(tmp_path_factory.mktemp("raw"), parts[5:], parts[:5]).folder


@pytest.fixture(scope="session")
def coder(raw_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an artifact."""
    folder = tmp_path_factory.mktemp("neural") / "coder"
    fit([raw_shards], folder, resolve("neural-1m", None, SETTINGS), quiet=True)
    return folder
