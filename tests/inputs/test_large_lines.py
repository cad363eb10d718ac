"""A large line of JSONL is understood as a small one is, and costs itself at most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.inputs import jsonl
from pcdata.processes.isolated import Limits
from tests.building.corpora import assert_same_tree, options, write_jsonl

LINES: list[Any] = [
    {"text": "one", "path": "a.py", "stars": 3, "other": [1, 2]},
    {"text": "two", "metadata": {"path": "b.py", "stars": 4}},
    b"\n",
    b"not JSON\n",
    {"no": "text"},
    [1, 2],
    b'{"text":"\\ud800"}\n',
    b'{"text":"\xff"}\n',
    {"text": 5},
    {"text": "three", "stars": "x"},
    b'{"text":"cut',
]


def test_a_line_is_understood_the_same_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "a.jsonl", LINES)
    asked = {"keep": ("stars:int64",), "val_fraction": 0.0}
    build(options(tmp_path / "a.jsonl", tmp_path / "small", **asked), Reporter())
    monkeypatch.setattr(jsonl, "LARGE_LINE_BYTES", 1)
    build(options(tmp_path / "a.jsonl", tmp_path / "large", **asked), Reporter())
    assert_same_tree(tmp_path / "small", tmp_path / "large")
    split = Dataset(tmp_path / "large").split("train")
    assert [split.document(n).kept("stars") for n in range(split.n_documents)] == [3, 4]


def test_a_line_that_wants_much_more_memory_than_it_has_bytes_is_a_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "LARGE_LINE_BYTES", 1_000_000)
    monkeypatch.setattr(jsonl, "LIMITS", Limits(memory_bytes=100_000_000, cpu_seconds=20))
    bomb = b'{"text":"x","a":[' + b"[]," * 2_000_000 + b"[]]}\n"
    write_jsonl(tmp_path / "a.jsonl", [{"text": "before"}, bomb, {"text": "y" * 3_000_000}, {"text": "after"}])
    build(options(tmp_path / "a.jsonl", tmp_path / "out", val_fraction=0.0), Reporter())
    (reject,) = map(json.loads, (tmp_path / "out" / "rejects.jsonl").read_text().splitlines())
    assert (reject["position"], reject["reason"]) == (2, "too large")
    assert "would take more than 0.1 GB of memory" in reject["detail"]
    split = Dataset(tmp_path / "out").split("train")
    assert split.document(0).raw.tobytes() == b"before"
    assert split.document(split.n_documents - 1).raw.tobytes() == b"after"
    assert split.n_documents > 10  # the long one, in parts
