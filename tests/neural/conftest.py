"""A byte model that is fitted in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pctrain.config import resolve
from pctrain.neural.fit import fit
from tests.made_run import write_dataset
from tests.neural.opened import SETTINGS
from tests.strategies import library_files


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
