"""Base and view files open in the tools that people have, and hold what FORMAT.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars
import pyarrow as pa
import pytest

from pcdata.dataset import Dataset
from tests.dataset.written import sample_rows, write_dataset

BASE_COLUMNS = ["doc_id", "path", "lang", "source", "part_start_bytes", "document_bytes", "raw"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_dataset(folder)
    return folder


def test_pyarrow_without_a_copy(written: Path) -> None:
    before = pa.total_allocated_bytes()
    with pa.memory_map(str(written / "base/train-00000.arrow")) as source:
        base = pa.ipc.open_file(source).read_all()
    with pa.memory_map(str(written / "views/zstd/train-00000.arrow")) as source:
        view = pa.ipc.open_file(source).read_all()
    assert pa.total_allocated_bytes() == before, "the buffers are not mapped as they are"
    assert base.schema.names == BASE_COLUMNS
    assert base["raw"].to_pylist() == [row.raw for row in sample_rows()[:12]]
    assert view["doc_id"].equals(base["doc_id"])
    assert view.schema.field("symbols").type == pa.large_list(pa.uint8())
    assert [sum(units) for units in view["unit_bytes"].to_pylist()] == [len(row.raw) for row in sample_rows()[:12]]


def test_polars(written: Path) -> None:
    base = polars.read_ipc(written / "base/train-00000.arrow")
    assert base.columns == BASE_COLUMNS
    assert base["path"].to_list() == [row.path for row in sample_rows()[:12]]
    view = polars.read_ipc(written / "views/bpe/train-00000.arrow")
    document = Dataset(written).split("train").document(0)
    assert view["symbols"][0].to_list() == document.symbols("bpe").tolist()
    assert view.schema["symbols"] == polars.List(polars.UInt16)


_LOAD = """
import sys, datasets
for pattern in sys.argv[2:]:
    rows = datasets.load_dataset("arrow", data_files=pattern, cache_dir=sys.argv[1], split="train")
    print(len(rows), sorted(rows.column_names))
"""


def test_datasets(written: Path, tmp_path: Path) -> None:
    """In its own process: it reads its settings when it is imported."""
    patterns = [str(written / "base/train-*.arrow"), str(written / "views/gzip/train-*.arrow")]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(tmp_path), *patterns],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"29 {sorted(BASE_COLUMNS)}",
        f"29 {['doc_id', 'symbols', 'unit_bytes', 'unit_symbols']}",
    ]
