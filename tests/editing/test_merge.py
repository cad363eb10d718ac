"""Merging datasets makes the dataset that building from all their inputs makes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.codecs.requests import parse_requests
from pcdata.dataset import Dataset
from pcdata.editing.add_view import add_views
from pcdata.editing.merge import merge
from pcdata.errors import BuildError, DatasetError
from pcdata.verifying.verify import verify
from tests.building.corpora import fit, options, write_code, write_jsonl
from tests.dataset.contents import contents
from tests.dataset.written import Row, write_dataset

SHAPE = {"max_document_bytes": 3_000, "keep": ("stars:int64",)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two inputs that share documents, some of them cut; an artifact; a dataset of each, and of both together."""
    root = tmp_path_factory.mktemp("merge")
    write_code(root / "a", files=24)
    write_code(root / "b", files=30)
    (root / "a" / "only.py").write_text("a = 1\n")
    (root / "b" / "long.py").write_text("x = 1\n" * 2_000)
    write_jsonl(root / "c.jsonl", [{"text": f"record {n}\n" * 20, "stars": n} for n in range(50)])
    write_jsonl(root / "d.jsonl", [{"text": f"record {n}\n" * 20, "stars": n} for n in range(30, 90)])
    fit(options(root / "b", root / "coder", "bpe:vocab_size=300"))
    views = (f"bpe:artifact={root / 'coder'}", "gzip", "zstd:dictionary=0")
    for name, inputs in {
        "one": ["a", "c.jsonl"],
        "two": ["b", "d.jsonl"],
        "both": ["a", "c.jsonl", "b", "d.jsonl"],
    }.items():
        build(options([root / path for path in inputs], root / name, *views, **SHAPE), Reporter())
    return root


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    found: dict[str, list[tuple[object, ...]]] = {}
    for name in ("train", "val"):
        split = Dataset(folder).split(name)
        documents = map(split.document, range(split.n_documents))
        found[name] = [
            (d.raw.tobytes(), d.path, d.lang, d.source, d.part_start_bytes, d.document_bytes, d.kept("stars"))
            for d in documents
        ]
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_merge_is_a_build_from_both(root: Path, tmp_path: Path, workers: int) -> None:
    merge([root / "one", root / "two"], tmp_path / "merged", workers, Reporter())
    merged, both = contents(tmp_path / "merged"), contents(root / "both")
    assert verify(tmp_path / "merged").ok
    assert rows(tmp_path / "merged") == rows(root / "both")
    assert {name: data for name, data in merged.items() if name.endswith(".arrow")} == {
        name: data for name, data in both.items() if name.endswith(".arrow")
    }, "to the byte"
    manifest = Dataset(tmp_path / "merged").manifest
    assert manifest.rejects["duplicate"] == Dataset(root / "both").manifest.rejects["duplicate"] > 20
    assert [view.fingerprint for view in manifest.views] == [
        view.fingerprint for view in Dataset(root / "both").manifest.views
    ]
    assert any(start for _, _, _, _, start, *_ in rows(root / "both")["train"]), "some documents are cut"


def test_a_second_run_does_nothing_and_other_parts_are_refused(root: Path, tmp_path: Path) -> None:
    assert not merge([root / "one", root / "two"], tmp_path / "merged", 1, Reporter()).was_complete
    before = contents(tmp_path / "merged")
    assert merge([root / "one", root / "two"], tmp_path / "merged", 1, Reporter()).was_complete
    with pytest.raises(BuildError, match="finished dataset of other parts"):
        merge([root / "two", root / "one"], tmp_path / "merged", 1, Reporter())
    assert contents(tmp_path / "merged") == before


@pytest.mark.parametrize(
    "step", ["plan.written:1", "write.view:2", "write.done:2", "commit.rejects:1", "commit.manifest:1"]
)
def test_killed_at_a_named_step(root: Path, tmp_path: Path, step: str) -> None:
    run = "import sys; from pcdata.cli import main; main(['merge', *sys.argv[1:3], '-o', sys.argv[3], '-q', '-j1'])"
    command = [sys.executable, "-c", run, str(root / "one"), str(root / "two"), str(tmp_path / "merged")]
    killed = subprocess.run(command, env={**os.environ, "PCDATA_KILL_AT": step}, check=False)
    assert killed.returncode == -signal.SIGKILL
    subprocess.run(command, check=True)
    merge([root / "one", root / "two"], tmp_path / "whole", 1, Reporter())
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_a_merged_dataset_takes_more_views(root: Path, tmp_path: Path) -> None:
    merge([root / "one", root / "two"], tmp_path / "merged", 1, Reporter())
    both = Path(shutil.copytree(root / "both", tmp_path / "both"))
    for folder in (tmp_path / "merged", both):
        add_views(folder, parse_requests(("ngram:contexts=20,symbol_bits=4",)), 1, Reporter())
    files = [
        {name: data for name, data in contents(folder).items() if "ngram" in name}
        for folder in (tmp_path / "merged", both)
    ]
    assert files[0] == files[1] != {}


def test_what_cannot_be_merged(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    build(options(root / "b", other, "bpe:vocab_size=290", "gzip", "zstd:dictionary=0", **SHAPE), Reporter())
    with pytest.raises(BuildError, match="view 'bpe' has another"):
        merge([root / "one", other], tmp_path / "out", 1, Reporter())
    build(options(root / "b", tmp_path / "fewer", "gzip", **SHAPE), Reporter())
    with pytest.raises(BuildError, match=r"has no view '(bpe|zstd)'"):
        merge([root / "one", tmp_path / "fewer"], tmp_path / "out", 1, Reporter())
    with pytest.raises(BuildError, match="is given twice"):
        merge([root / "one", root / "one"], tmp_path / "out", 1, Reporter())
    with pytest.raises(BuildError, match="at least two"):
        merge([root / "one"], tmp_path / "out", 1, Reporter())
    assert not (tmp_path / "out").exists()
    damaged = Path(shutil.copytree(root / "two", tmp_path / "damaged"))
    path = next((damaged / "views" / "gzip").glob("*.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"gzip.*\.arrow is damaged"):
        merge([root / "one", damaged], tmp_path / "out", 1, Reporter())
    rejects = [json.loads(line) for line in (root / "two" / "rejects.jsonl").read_text().splitlines()]
    assert all(set(line) == {"file", "position", "reason", "detail"} for line in rejects)


@pytest.mark.parametrize("rest", [1, 2**63])
def test_a_document_that_does_not_end_where_it_says_is_a_sentence(tmp_path: Path, rest: int) -> None:
    last = Row(b"z", b"last")
    write_dataset(tmp_path / "a", [Row(b"cut", b"first part", rest=rest), Row(b"b", b"more"), last], views=("gzip",))
    write_dataset(tmp_path / "b", [Row(b"c", b"other"), last], views=("gzip",))
    with pytest.raises(DatasetError, match=r"train-00000.arrow block 0, row 0: no part ends where its document does"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "both", 1, Reporter())
