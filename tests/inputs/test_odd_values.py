"""One odd value costs its own record at most, and a file of odd columns costs that file: never the build."""

from __future__ import annotations

import datetime
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcdata.building import write
from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.editing.merge import merge
from pcdata.inputs import base, metadata
from pcdata.inputs.options import InputOptions
from pcdata.inputs.sources import Entry
from pcdata.verifying.verify import verify
from tests.building.corpora import options, write_jsonl
from tests.dataset.contents import contents


def _parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def _arrow(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _stream(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, Callable[[Path, pa.Table], None]] = {"a.parquet": _parquet, "a.arrow": _arrow, "a.feather": _stream}
each_format = pytest.mark.parametrize("name", WRITERS)


def made(tmp_path: Path, name: str, table: pa.Table | None = None, **more: Any) -> tuple[list[Any], list[Any]]:
    """Documents and rejects of a table."""
    if table is not None:
        WRITERS[name](tmp_path / name, table)
    build(options(tmp_path / name, tmp_path / "shards", "doublebyte", val_fraction=0.0, **more), Reporter())
    assert verify(tmp_path / "shards").ok
    split = Dataset(tmp_path / "shards").split("train")
    lines = (tmp_path / "shards" / "rejects.jsonl").read_text().splitlines()
    return [split.document(n) for n in range(split.n_documents)], [json.loads(line) for line in lines]


def bad_text() -> pa.Array:
    """``a.py`` and four bytes that are not UTF-8."""
    offsets = pa.py_buffer(struct.pack("<3i", 0, 4, 8))
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a.pyb\xff.c")])


@each_format
@pytest.mark.parametrize("column", ["path", "lang", "repo", "note"])
def test_text_that_is_not_utf8_is_bytes(name: str, column: str, tmp_path: Path) -> None:
    table = pa.table({"text": ["x = 1\n", "y = 2\n"], column: bad_text()})
    (_, second), rejects = made(tmp_path, name, table, keep=("note",))
    found = {"path": second.path, "lang": second.lang, "repo": second.source, "note": second.kept("note")}[column]
    assert found == (b"b\xff.c" if column == "path" else "b\\xff.c")
    assert rejects == []


@each_format
def test_the_text_itself_may_be_any_bytes(name: str, tmp_path: Path) -> None:
    documents, rejects = made(tmp_path, name, pa.table({"text": bad_text()}))
    assert [document.raw.tobytes() for document in documents] == [b"a.py", b"b\xff.c"]
    assert rejects == []


@each_format
def test_a_date_out_of_range_costs_its_record(name: str, tmp_path: Path) -> None:
    dates = pa.array([1, 2**45, None], pa.timestamp("s"))
    documents, rejects = made(tmp_path, name, pa.table({"text": ["a", "b", "c"], "date": dates}), keep=("date",))
    assert [document.kept("date") for document in documents] == ['"1970-01-01 00:00:01"', None]
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [(2, "odd value")]
    assert "'date'" in rejects[0]["detail"]


def test_nanoseconds_are_the_same_with_pandas_and_without(tmp_path: Path) -> None:
    times = pa.array([1_000, 1_001, None], pa.timestamp("ns"))
    _parquet(tmp_path / "a.parquet", pa.table({"text": ["a", "b", "c"], "at": times}))
    documents, _ = made(tmp_path, "a.parquet", keep=("at",))
    wanted = ['"1970-01-01 00:00:00.000001"', '"1970-01-01 00:00:00.000001001"', None]
    assert [document.kept("at") for document in documents] == wanted
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "pandas.py").write_text("raise ImportError")
    output, path = tmp_path / "without", os.pathsep.join([str(tmp_path / "hidden"), *sys.path])
    command = [sys.executable, "-m", "pcdata.cli", "build", tmp_path / "a.parquet", "-o", output, "-c", "doublebyte"]
    asked = ["--keep=at", "--val-fraction=0", "--fit-bytes=100000", "--shard-bytes=20000", "-q", "-j1"]
    subprocess.run([*command, *asked], env={**os.environ, "PYTHONPATH": path}, check=True)
    ours = (tmp_path / "shards" / "manifest.json").read_bytes()
    assert (output / "manifest.json").read_bytes() == ours


@each_format
@pytest.mark.parametrize("twice", ["text", "path"])
def test_two_columns_of_one_name_cost_the_file(name: str, twice: str, tmp_path: Path) -> None:
    names = ["text", "other", "path"] if twice == "text" else ["text", "path", "path"]
    names[1] = twice
    column = pa.array(["x", "y"])
    WRITERS[name](tmp_path / name, pa.Table.from_arrays([column] * 3, names=names))
    write_jsonl(tmp_path / "b.jsonl", [{"text": "good"}])
    both = [tmp_path / name, tmp_path / "b.jsonl"]
    build(options(both, tmp_path / "shards", val_fraction=0.0), Reporter())
    (reject,) = map(json.loads, (tmp_path / "shards" / "rejects.jsonl").read_text().splitlines())
    assert (reject["file"], reject["reason"]) == (name, "column twice")
    assert f"'{twice}'" in reject["detail"]


@pytest.mark.parametrize("name", ["a.arrow", "a.feather"])
@pytest.mark.parametrize("column", ["text", "path"])
def test_an_offset_that_lies_costs_the_rows_around_it(name: str, column: str, tmp_path: Path) -> None:
    """Of a thousand rows, read 256 at a time."""
    texts = [f"document {number:04}" for number in range(1_000)]
    other = "path" if column == "text" else "text"
    table = pa.table({column: texts, other: pa.array(range(1_000)).cast(pa.string())})
    WRITERS[name](tmp_path / name, table)
    data = (tmp_path / name).read_bytes()
    offset = struct.pack("<2i", 13 * 600, 13 * 601)
    assert data.count(offset) == 1
    for lie in (13 * 603, 0, 1 << 30, -5):
        (tmp_path / name).write_bytes(data.replace(offset, offset[:4] + struct.pack("<i", lie)))
        folder = tmp_path / str(lie)
        folder.mkdir()
        (tmp_path / name).rename(folder / name)
        documents, rejects = made(folder, name)
        assert {reject["reason"] for reject in rejects} == {"damaged"}
        assert [reject["position"] for reject in rejects] == [*range(513, 769)]
        assert len(documents) == 1_000 - 256


def test_a_batch_that_claims_more_rows_than_it_has_is_no_endless_work(tmp_path: Path) -> None:
    _arrow(tmp_path / "a.arrow", pa.table({"text": [f"document {number:04}" for number in range(999)]}))
    data = (tmp_path / "a.arrow").read_bytes()
    rows = struct.pack("<q", 999)
    (tmp_path / "a.arrow").write_bytes(data.replace(rows, struct.pack("<q", 1 << 40)))
    write_jsonl(tmp_path / "b.jsonl", [{"text": "good"}])
    build(options([tmp_path / "a.arrow", tmp_path / "b.jsonl"], tmp_path / "shards", val_fraction=0.0), Reporter())
    (reject,) = map(json.loads, (tmp_path / "shards" / "rejects.jsonl").read_text().splitlines())
    assert reject["reason"] == "unreadable"


@each_format
def test_files_whose_names_are_no_text(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcdata.inputs.sources.RANGE_BYTES", 100)  # so that the ranges are looked for as well
    WRITERS[name](tmp_path / name, pa.table({"text": [f"document {number}" for number in range(100)]}))
    odd = os.fsdecode(b"\xff" + name.encode())
    (tmp_path / name).rename(tmp_path / odd)
    documents, rejects = made(tmp_path, odd)
    assert len(documents) == 100
    assert documents[0].path == b"\xff" + name.encode() + b":1"
    assert rejects == []


def test_long_kept_columns_make_more_blocks_and_no_larger_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of text in a batch ends at 2 GiB; here the bound is 10 kB."""
    monkeypatch.setattr(write, "BLOCK_METADATA_BYTES", 10_000)
    notes = pa.DictionaryArray.from_arrays(pa.array([0] * 110, pa.int32()), pa.array(["z" * 1_000]))
    table = pa.table({"text": [f"x = {number}\n" for number in range(110)], "note": notes})
    documents, _ = made(tmp_path, "a.parquet", table, keep=("note",), shard_bytes=600)
    assert [document.raw.tobytes() for document in documents] == [b"x = %d\n" % number for number in range(110)]
    assert {document.kept("note") for document in documents} == {"z" * 1_000}
    shards = Dataset(tmp_path / "shards").manifest.base.splits["train"]
    assert [shard.block_documents for shard in shards] == [(9,) * 9 + (7,), (9, 9, 4)]


def test_blocks_of_long_metadata_are_the_same_after_a_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths, languages, sources and kept values count, in bytes; numbers and what is missing do not."""
    monkeypatch.setattr(write, "BLOCK_METADATA_BYTES", 2_000)
    sizes = (3, 1_990, 7, 40, 0, 700, 699, 2_500, 1, 1_999)
    columns = {"path": "p", "lang": "é", "repo": "r", "note": "n"}
    for name in ("a", "b"):
        lines = [
            {"text": f"{name} {key} {size}", key: letter * (size // len(letter.encode())), "stars": size}
            for key, letter in columns.items()
            for size in sizes
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", lines)
    more: dict[str, Any] = {"keep": ("note", "stars:int64"), "val_fraction": 0.0, "shard_bytes": 400}
    for name, inputs in {"one": ["a"], "two": ["b"], "both": ["a", "b"]}.items():
        build(
            options([tmp_path / f"{each}.jsonl" for each in inputs], tmp_path / name, "zstd:dictionary=0", **more),
            Reporter(),
        )
    merge([tmp_path / "one", tmp_path / "two"], tmp_path / "merged", 1, Reporter())
    blocks = [
        [shard.block_documents for shard in Dataset(tmp_path / name).manifest.base.splits["train"]]
        for name in ("both", "merged")
    ]
    assert blocks[0] == blocks[1]
    assert len([count for shard in blocks[0] for count in shard]) > 20
    assert {name: data for name, data in contents(tmp_path / "both").items() if name.endswith(".arrow")} == {
        name: data for name, data in contents(tmp_path / "merged").items() if name.endswith(".arrow")
    }


def test_a_kept_value_that_is_too_large_costs_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcdata.inputs.metadata.MAX_RECORD_BYTES", 500)
    table = pa.table({"text": ["a", "b"], "note": ["z" * 1_000, "z"]})
    documents, rejects = made(tmp_path, "a.parquet", table, keep=("note",))
    assert [document.kept("note") for document in documents] == ["z"]
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [(1, "too large")]


def test_values_are_as_they_always_were(tmp_path: Path) -> None:
    """Of every type, kept as text."""
    day = datetime.datetime(2024, 5, 6, 7, 8, 9, 10)
    values = {"s": "a", "i": 1, "f": 0.5, "b": b"\xff", "t": day, "d": day.date(), "l": [1, None], "o": {"k": "v"}}
    table = pa.Table.from_pylist([{"text": "x", **values}, {"text": "y"}])
    (first, second), _ = made(tmp_path, "a.parquet", table, keep=tuple(values))
    assert {name: first.kept(name) for name in values} == {
        **{"s": "a", "i": "1", "f": "0.5", "b": "\\xff", "l": "[1, null]", "o": '{"k": "v"}'},
        **{"t": '"2024-05-06 07:08:09.000010"', "d": '"2024-05-06"'},
    }
    assert [second.kept(name) for name in values] == [None] * len(values)


def test_a_record_limit_is_there_to_be_reached() -> None:
    assert write.BLOCK_METADATA_BYTES < base.MAX_RECORD_BYTES < 2**31


@pytest.mark.parametrize("depth", [10, 600, 900, 960, 990, 5_000, 200_000])
def test_a_kept_value_may_be_nested_as_it_likes(depth: int, tmp_path: Path) -> None:
    deep = b'{"text":"x","note":' + b"[" * depth + b"]" * depth + b"}\n"
    write_jsonl(tmp_path / "a.jsonl", [deep, {"text": "good", "note": 1}])
    documents, rejects = made(tmp_path, "a.jsonl", keep=("note",))
    assert len(documents) + len(rejects) == 2
    assert {reject["reason"] for reject in rejects} <= {"bad JSON", "kept column"}
    assert len(rejects) == (depth >= 5_000) or depth in range(500, 1_000)


@pytest.mark.parametrize("kind", ["string", "int64", "float64"])
def test_a_number_of_any_size_is_a_value_or_a_reject(kind: str, tmp_path: Path) -> None:
    sizes = (1, 18, 19, 400, 4_000, 5_000, 3_000_000)
    lines = [b'{"text":"%d","note":%s}\n' % (size, b"9" * size) for size in sizes]
    write_jsonl(tmp_path / "a.jsonl", lines)
    documents, rejects = made(tmp_path, "a.jsonl", keep=(f"note:{kind}",))
    assert len(documents) == {"string": 5, "int64": 2, "float64": 3}[kind]
    assert len(rejects) == len(sizes) - len(documents)
    assert all(len(reject["detail"]) < 1_100 for reject in rejects)


def test_a_reject_does_not_quote_all_of_a_value(tmp_path: Path) -> None:
    lines: list[Any] = [{"text": "a", "note": "n" * 100_000}, {"k" * 100_000: 1}, {"text": "b", "lang": "l" * 100_000}]
    write_jsonl(tmp_path / "a.jsonl", [*lines, {"text": "good"}])
    documents, rejects = made(tmp_path, "a.jsonl", keep=("note:int64",))
    assert [document.raw.tobytes() for document in documents] == [b"good"]
    assert [reject["reason"] for reject in rejects] == ["kept column", "no text key", "odd value"]
    assert (tmp_path / "shards" / "rejects.jsonl").stat().st_size < 4_000


def test_a_value_that_is_too_deep_for_json_costs_its_record(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    (tmp_path / "a.jsonl").touch()
    asked = InputOptions((tmp_path / "a.jsonl",), keep=("note",))
    found = metadata.record_metadata(asked, Entry(0, b"a.jsonl", 0, "jsonl"), base.Record(b"", {"note": deep}), 1)
    assert isinstance(found, base.Fault)
    assert "nested too deeply" in found.detail
