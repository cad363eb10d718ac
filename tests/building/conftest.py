"""A folder of code and the dataset that an undisturbed build makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from tests.building.corpora import options, write_code
from tests.building.interrupted import VIEWS


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "code"
    write_code(folder, files=24)
    return folder


@pytest.fixture(scope="session")
def reference(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reference") / "shards"
    build(options(code, output, *VIEWS), Reporter())
    return output
