"""Every script of tools/ runs, on next to nothing: what it measures then says little, but that it still measures."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from unittest import mock

import pytest

from pcdata.codecs.requests import parse_requests
from pcdata.dataset import Dataset
from pcdata.inspection.report.page import write_report
from tests.paths import ROOT
from tools import bench_cold
from tools.building import rebuild

CODE = ROOT / "pcdata" / "probing"
SETTINGS = ["model.width=32", "model.layers=1", "model.hidden=32", "data.seq_len=64", "data.rows=1"]
QUICK = ["--compressor", "zstd", "--batches", 2, "--shuffle-rows", 8]
TINY: dict[str, list[object]] = {
    "bench_build": [CODE, "--rounds", 1, "--views", "zstd", "--views", "halfbyte,gzip"],
    "bench_cli": ["--rounds", 1, "--shards", 3],
    "bench_cold": [CODE, "--copies", 1, "--documents", 3, "--shuffle-rows", 8],
    "bench_generate": ["--rounds", 1, "--presets", "tiny", "--bytes", 8, "--steps", 2],
    "bench_growth": [CODE, "--rounds", 1, "--sizes", 1, 2, *QUICK],
    "bench_loader": [CODE, "--copies", 2, "--rounds", 1, "--batches", 2, "--rank-rows", 64],
    "bench_neural": ["--rounds", 1, "--presets", "neural-1m", "--bytes", 300],
    "bench_reader": [CODE, "--copies", 1, "--rounds", 1, "--documents", 1000, "--reads", 100],
    "bench_rivals": [CODE, "--every", 2, "--vocab-size", 300],
    "bench_train": [CODE, "--rounds", 1, "--steps", 5, *(word for each in SETTINGS for word in ("--set", each))],
    "bench_verify": [CODE, "--copies", 1, "--rounds", 1, "--views", "zstd"],
    "bench_workers": [CODE, "--copies", 2, "--rounds", 1],
    "memory_build": ["--sizes", 0.0001, "--documents", 10_000, "--workers", 1],
    "memory_loader": ["--documents", 1000, "--batches", 2, "--shuffle-rows", 8],
    "study_zstd_units": [CODE, "--rounds", 1, "--choice", "unit=chunk,size=128", "--choice", "dictionary=0"],
}
"""Scripts that print tables and a line of JSON, and what makes each small."""
SHOWING = {"demo_summary", "explorer_picture", "languages", "notebook"}
"""Those that show something else; each has a test of its own."""


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of what scripts keep for their next run, and of what they set in the environment."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with mock.patch.dict(os.environ):
        yield


def run(name: str, *words: object) -> None:
    """As ``python -m tools.NAME WORDS`` does, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, words)])
        importlib.import_module(f"tools.{name}").main()


def test_every_script_is_tried() -> None:
    scripts = {path.stem for path in (ROOT / "tools").glob("*.py") if "\ndef main(" in path.read_text()}
    assert scripts == TINY.keys() | SHOWING


@pytest.mark.parametrize("name", TINY)
def test_it_prints_tables_and_a_line_of_json(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "bench_cold":  # as a kernel counts that reads everything from the disk, wherever temporary files are
        megabytes = count(step=1_000_000)
        monkeypatch.setattr(bench_cold, "counted", lambda *_: next(megabytes))
    run(name, *TINY[name])
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found.keys() == {"bench", "machine", "python", "commit", "versions", "results"}
    assert found["results"]
    assert len(table) >= 2
    assert "{" not in "".join(table)


def test_datatrove_is_a_process_that_says_when_it_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stand-in for the Python of another environment."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho ready\nwhile read line; do echo other words; echo done; done\n")
    python.chmod(0o755)
    run("bench_rivals", *TINY["bench_rivals"], "--datatrove", python)
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]["tokenizers"]
    assert {row["name"] for row in rows} == {"build", "datasets", "Megatron", "datatrove"}

    python.write_text("#!/bin/sh\necho no such module\n")
    with pytest.raises(SystemExit, match="cannot run its pipeline"):
        run("bench_rivals", *TINY["bench_rivals"], "--datatrove", python)


@pytest.mark.parametrize(("raw", "proxy", "verdict"), [(2.0, 2.5, "Raw bytes alone are ahead by 0.50"),
                                                       (2.5, 2.25, "The proxy is ahead by 0.25")])  # fmt: skip
def test_the_demo_ends_with_who_is_ahead(
    raw: float, proxy: float, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, bits in (("raw", raw), ("bpe", proxy)):
        val = {"kind": "val", "raw_bits_per_byte": bits, "raw_bits_per_byte_standard_error": 0.1}
        train = {"kind": "train", "data": {"raw_bytes": 2_000_000, "compressed_bytes": 0}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in (train, train, val)))
    run("demo_summary", tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert verdict in said
    assert f"{raw:.2f} ± 0.10 bits per byte, after reading 4.0 MB" in said


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium is installed (apt-get install chromium)")
def test_the_explorer_has_its_picture_taken(tmp_path: Path) -> None:
    rebuild(CODE, tmp_path / "shards", parse_requests(["bpe:vocab_size=300"]))
    page, picture = tmp_path / "report.html", tmp_path / "explorer.png"
    write_report(Dataset(tmp_path / "shards"), page, documents=9, document_bytes=9_000, seed=0, probe=None)
    run("explorer_picture", page, picture, "--document", "edits.py", "--dark")
    assert picture.read_bytes().startswith(b"\x89PNG")
