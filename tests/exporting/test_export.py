"""What comes out is what went in: from any documents, under any paths, in every form that can hold them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.errors import DatasetError, OptionError
from pcdata.exporting.export import check_export, export_docs
from pcdata.exporting.folder import safe_path
from pcdata.exporting.whole import Choice, whole_documents
from tests.building.corpora import options
from tests.command_lines import pcdata
from tests.dataset.written import Row, sample_rows, write_dataset

PATHS = [
    b"a.py", b"A.PY", b"a.py/b.py", b"a.py/../../../outside.py", b"/etc/passwd", b"..", b".", b"", b"a//b/./c.py",
    b"folder/", b"caf\xe9.py", b"nul\0.py", b"x" * 300 + b".py", b"/".join([b"deep"] * 900) + b"/end.c", b"a b\n.txt",
    b"data.jsonl:7", b"~", b"-o",
]  # fmt: skip

RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "path": st.sampled_from(PATHS) | st.binary(max_size=12),
            "source": st.sampled_from(["one", "two/three", "..", "/", ""]),
            "lang": st.sampled_from(["Python", "C", "unknown"]),
            "stars": st.none() | st.integers(-5, 5),
            "content": st.binary(max_size=200) | st.text(max_size=40).map(str.encode),
        }
    ),
    min_size=1,
    max_size=12,
)


def rows(folder: Path, *, lossy_paths: bool = False) -> list[tuple[Any, ...]]:
    """All that is said of each row, whatever the order."""
    dataset = Dataset(folder)
    found = []
    for name in dataset.splits:
        split = dataset.split(name)
        for row in map(split.document, range(split.n_documents)):
            path = row.path.decode("utf-8", "backslashreplace").encode() if lossy_paths else row.path
            found.append((name, row.doc_id, path, row.lang, row.source, row.part_start_bytes, row.kept("stars")))
    return sorted(found, key=repr)


def write_parquet(path: Path, records: list[dict[str, Any]]) -> None:
    types = {"path": pa.binary(), "source": pa.string(), "lang": pa.string(), "stars": pa.int64()}
    shape = pa.schema([*types.items(), ("content", pa.binary())])
    pyarrow.parquet.write_table(pa.Table.from_pylist(records, schema=shape), path)


def rebuilt(path: Path, output: Path) -> Path:
    more = {"keep": ("stars:int64",), "val_fraction": 0.0, "max_document_bytes": 64}
    build(options(path, output, "doublebyte", **more), Reporter())
    return output


def export(dataset: Path, output: Path, choice: Choice | None = None) -> Any:
    opened = Dataset(dataset)
    check_export(opened, output, "text")
    return export_docs(opened, output, choice or Choice(tuple(opened.splits)), "text", lambda size: None)


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(RECORDS)
def test_an_export_builds_the_same_dataset(records: list[dict[str, Any]]) -> None:
    with scratch() as folder:
        write_parquet(folder / "in.parquet", records)
        rebuilt(folder / "in.parquet", folder / "first")
        export(folder / "first", folder / "in.parquet.parquet")
        assert rows(rebuilt(folder / "in.parquet.parquet", folder / "second")) == rows(folder / "first")

        texts = [record for record in records if is_utf8(record["content"])]
        if not texts:
            return
        write_parquet(folder / "in.parquet", texts)
        rebuilt(folder / "in.parquet", folder / "texts")
        for ending in ("jsonl", "jsonl.gz", "jsonl.zst"):
            done = export(folder / "texts", folder / f"out.{ending}")
            assert done.left_out == 0
            again = rebuilt(folder / f"out.{ending}", folder / ending)
            assert rows(again) == rows(folder / "texts", lossy_paths=True)


@given(RECORDS)
def test_a_folder_holds_every_document_and_nothing_lies_outside(records: list[dict[str, Any]]) -> None:
    with scratch() as folder:
        write_parquet(folder / "in.parquet", records)
        rebuilt(folder / "in.parquet", folder / "data")
        before = sorted(folder.rglob("*"))
        done = export(folder / "data", folder / "out")
        written = [path for path in (folder / "out").rglob("*") if path.is_file()]
        assert sorted(path.read_bytes() for path in written) == sorted({record["content"] for record in records})
        assert {path for path in folder.rglob("*") if (folder / "out") not in path.parents} == {*before, folder / "out"}
        plain = {
            (record["source"], record["path"]): record
            for record in records
            if record["path"] == b"a.py" and record["source"] == "one"
        }
        if len(records) == 1 and plain:
            assert (written, done.renamed) == ([folder / "out" / "one" / "a.py"], 0)
            assert written[0].stat().st_size == done.raw_bytes


@given(st.sampled_from(PATHS) | st.binary(max_size=300), st.binary(max_size=8))
def test_a_safe_path_stays_where_it_is(path: bytes, more: bytes) -> None:
    name = safe_path(path + more, "0123456789abcdef")
    parts = name.split(b"/")
    assert parts
    assert not {b"", b".", b".."} & set(parts)
    assert max(map(len, parts)) <= 200
    assert len(name) <= 2_000
    assert b"\0" not in name
    assert safe_path(name, "0123456789abcdef") == name


def test_clashing_paths_all_have_a_file(tmp_path: Path) -> None:
    raws = [b"1", b"2", b"3", b"4", b"5"]
    paths = [b"x.py", b"x.py", b"x.py/y", b"x.py/z", b"w"]
    write_dataset(tmp_path / "data", [Row(path, raw) for path, raw in zip(paths, raws, strict=True)])
    done = export(tmp_path / "data", tmp_path / "out")
    source = Dataset(tmp_path / "data").split("train").document(0).source
    assert sorted(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()) == raws
    assert (tmp_path / "out" / source / "x.py").read_bytes() == b"1"
    assert (tmp_path / "out" / source / "x.py~" / "y").read_bytes() == b"3"
    assert (tmp_path / "out" / source / "x.py~" / "z").read_bytes() == b"4"
    assert done.renamed == 3


@pytest.mark.parametrize(
    ("path", "lies_at", "renamed"),
    [(b"a/b.py", "a/b.py", 0), (b"/etc/passwd", "etc/passwd", 0), (b"../b", "%2E%2E/b", 1), (b"n\0", "n%00", 1)],
)
def test_where_a_file_lies(tmp_path: Path, path: bytes, lies_at: str, renamed: int) -> None:
    write_dataset(tmp_path / "data", [Row(path, b"here"), Row(b"v", b"v")])
    done = export(tmp_path / "data", tmp_path / "out", Choice(("train",)))
    source = Dataset(tmp_path / "data").split("train").document(0).source
    assert (tmp_path / "out" / source / lies_at).read_bytes() == b"here"
    assert done.renamed == renamed


def test_choices(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data")
    dataset = Dataset(tmp_path / "data")
    whole = list(whole_documents(dataset, Choice(("train", "val"))))
    assert len(whole) == len(sample_rows()) - 1, "one document is in two parts"
    big = next(document for document in whole if document.first.path == b"big.txt")
    assert big.raw() == b"first part\nsecond part"
    assert [document.raw() for document in whole_documents(dataset, Choice(("train",), limit=3))] == [
        document.raw() for document in whole[:3]
    ]
    python = list(whole_documents(dataset, Choice(("train", "val"), langs=("PYTHON",))))
    assert 0 < len(python) < len(whole)
    assert {document.first.lang for document in python} == {"python"}
    misspelt = pcdata("export-docs", dataset.folder, "-o", tmp_path / "none", "--lang", "python", "--lang", "pyton")
    assert (misspelt.exit_code, (tmp_path / "none").exists()) == (1, False)
    assert misspelt.stderr.endswith("is in --lang pyton; did you mean python?\n")
    done = pcdata("export-docs", dataset.folder, "-o", tmp_path / "v.jsonl", "--split", "val", "--text-key", "content")
    assert done.exit_code == 0
    (line,) = (tmp_path / "v.jsonl").read_text().splitlines()
    assert json.loads(line)["content"].encode() == whole[-1].raw()


def test_what_is_not_utf8_is_left_out_of_json_and_said(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", [Row(b"a", b"\xff"), Row(b"b", b"b"), Row(b"c", b"c")])
    done = pcdata("export-docs", tmp_path / "data", "-o", tmp_path / "out.jsonl")
    assert "1 are not UTF-8 and were left out" in done.stderr
    assert "2 documents" in done.stderr
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ["b", "c"]
    assert "left out" not in pcdata("export-docs", tmp_path / "data", "-o", tmp_path / "out.parquet").stderr


def test_standard_output_is_jsonl(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data")
    command = [sys.executable, "-m", "pcdata.cli", "export-docs", tmp_path / "data", "-o", "-", "--limit", "2", "-q"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    assert len(list(map(json.loads, done.stdout.splitlines()))) == 2
    assert os.listdir(tmp_path) == ["data"]  # noqa: PTH208


@pytest.mark.parametrize("output", ["out", "out.jsonl", "out.jsonl.zst", "out.parquet"])
def test_damage_is_named_and_leaves_nothing(tmp_path: Path, output: str) -> None:
    write_dataset(tmp_path / "data")
    shard = tmp_path / "data" / "base" / "train-00001.arrow"
    data = shard.read_bytes()
    where = data.index(sample_rows()[15].raw)
    shard.write_bytes(data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :])
    with pytest.raises(DatasetError, match=r"base/train-00001\.arrow block \d, row \d: the bytes are not those"):
        export(tmp_path / "data", tmp_path / output)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_rows_that_do_not_follow_are_damage(tmp_path: Path) -> None:
    rest = [Row(b"n", b"n"), Row(b"v", b"v")]
    write_dataset(tmp_path / "gap", [Row(b"big", b"first", rest=6), Row(b"big", b"second", start=4), *rest])
    with pytest.raises(DatasetError, match="row 1 begins at byte 4 of its document, the row before it ends at 5"):
        export(tmp_path / "gap", tmp_path / "out")
    write_dataset(tmp_path / "cut", [*rest, Row(b"big", b"first", rest=6)])
    with pytest.raises(DatasetError, match="the last document of val is cut short"):
        export(tmp_path / "cut", tmp_path / "out")


def test_mistakes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data")
    dataset = Dataset(tmp_path / "data")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.jsonl").touch()
    for output, text_key, sentence in [
        ("full", "text", "is there already"),
        ("there.jsonl", "text", "is there already"),
        ("out.csv", "text", "ends in .jsonl"),
        ("out.gz", "text", "ends in .jsonl"),
        ("no/out", "text", "there is no folder"),
        ("out.jsonl", "path", "give another name"),
        ("out.jsonl", "", "give another name"),
    ]:
        with pytest.raises(OptionError, match=sentence):
            check_export(dataset, tmp_path / output, text_key)
    done = pcdata("export-docs", tmp_path / "data", "-o", tmp_path / "out", "--split", "test")
    assert done.exit_code == 1
    assert "has no test split; its splits: train, val" in done.stderr
    assert not (tmp_path / "out").exists()
    export(tmp_path / "data", tmp_path / "empty")
    assert len([path for path in (tmp_path / "empty").rglob("*") if path.is_file()]) == len(sample_rows()) - 1
