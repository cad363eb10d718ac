"""A disk that is full: the sentence names the file that somebody asked for, and nothing half written stays.

A limit on the size of files stands for the disk: the kernel refuses the same writes, with another word.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.building.corpora import write_code
from tests.paths import GOLDEN, ROOT

SHAPE = ("-j1", "--val-fraction", "0.2")

CALLS = [
    (("report", "ds", "-o", "o/page.html"), 600, "o/page.html"),
    (("stats", "ds", "--plot", "o/a.png"), 5_000, "o/a.png"),
    (("probe", "code", "-c", "gzip", "--document-bytes", "0:64000", *SHAPE), 10, "tmp/pcdata"),
    (("probe", "code", "-c", "gzip", "--document-bytes", "0:64000", "--plot", "o/p.png", *SHAPE), 20_000, "o/p.png"),
    (("fit", "bpe:vocab_size=400", "code", "-o", "o/fitted", *SHAPE), 10, "tmp/pcdata"),
    (("export-docs", "ds", "-o", "o/folder"), 0, "o/folder/golden/bom.txt"),
    (("export-docs", "ds", "-o", "o/a.jsonl"), 600, "o/a.jsonl"),
    (("export-docs", "ds", "-o", "o/a.jsonl.zst"), 100, "o/a.jsonl.zst"),
    (("export-docs", "ds", "-o", "o/a.parquet"), 600, "o/a.parquet"),
    (("export-docs", "ds", "-o", "-"), 600, "standard output"),
    (("config", "ds"), 0, "standard output"),
    (("drop-view", "ds", "gzip"), 0, "ds/.build/lock"),
    (("drop-view", "ds", "gzip"), 600, "ds/manifest.json"),
    (("add-view", "ds", "-c", "gzip:name=new", "-j1"), 600, "ds/views/new/train-00000.arrow"),
    (("build", "code", "-o", "o/out", *SHAPE), 0, "o/out/.build/lock"),
    (("build", "code", "-o", "o/out", *SHAPE), 2_000, "o/out/"),
    (("merge", "ds", "ds2", "-o", "o/out", "-j1"), 0, "o/out/.build/lock"),
]


@pytest.mark.parametrize(("arguments", "limit", "file"), CALLS, ids=lambda value: str(value)[:60])
def test_the_file_is_named(tmp_path: Path, arguments: tuple[str, ...], limit: int, file: str) -> None:
    for name in ("ds", "ds2"):
        shutil.copytree(GOLDEN, tmp_path / name)
    write_code(tmp_path / "code", files=12)
    for folder in ("o", "tmp"):
        (tmp_path / folder).mkdir()
    with (tmp_path / "stdout").open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "pcdata", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
    assert done.returncode == 1, done.stderr
    *_, said = done.stderr.splitlines()
    assert said.endswith("File too large; fix that and run the same command again")
    assert said.removeprefix("error: ").removeprefix(f"{tmp_path}/").startswith(file)
    assert not [*tmp_path.rglob("*.tmp")]
