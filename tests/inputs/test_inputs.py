"""Every format, made by its own tools, goes in and comes out the same documents, in whatever ranges it is read."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from pcdata.building import scan
from pcdata.building.build import build
from pcdata.building.progress import Silent
from pcdata.cli import main
from pcdata.dataset import Dataset
from pcdata.errors import InputError, OptionError
from pcdata.inputs import base, jsonl, records, sources
from pcdata.inputs.options import InputOptions
from pcdata.verifying.verify import verify
from tests.building.corpora import options, write_jsonl
from tests.building.formats import BYTES, ROWS, WRITERS, write_tar


def documents(folder: Path) -> list[bytes]:
    split = Dataset(folder).split("train")
    return [split.document(number).raw.tobytes() for number in range(split.n_documents)]


def built(path: Path, output: Path, **more: Any) -> Path:
    build(options(path, output, "doublebyte", val_fraction=0.0, **more), Silent())
    assert verify(output).ok
    return output


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files were large: many ranges, many tasks."""
    monkeypatch.setattr(sources, "RANGE_BYTES", 1_000)
    monkeypatch.setattr(scan, "TASK_BYTES", 2_500)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("ranges", ["whole", "ranges"])
def test_every_format_gives_the_same_documents(
    name: str, ranges: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    WRITERS[name](tmp_path / name)
    if ranges == "ranges":
        request.getfixturevalue("small_ranges")
    folder = built(tmp_path / name, tmp_path / "shards")
    assert documents(folder) == BYTES
    split = Dataset(folder).split("train")
    first = split.document(0)
    assert (first.path, first.lang, split.document(699).path) == (b"src/f0.py", "Python", b"src/f699.py")


def test_a_large_file_is_split_among_tasks(tmp_path: Path, small_ranges: None) -> None:
    for name in ("data.parquet", "data.feather", "file.arrow", "data.jsonl"):
        WRITERS[name](tmp_path / name)
        entries = list(sources.find_entries(InputOptions((tmp_path / name,))))
        assert len(entries) > 5, name
        assert entries[0].begin == 0  # type: ignore[union-attr]
        assert [entry.end for entry in entries[:-1]] == [entry.begin for entry in entries[1:]]  # type: ignore[union-attr]
        assert entries[-1].end is None  # type: ignore[union-attr]


def test_explained_have_the_lines_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank lines, lines longer than several ranges, a byte order mark, faults: the same, however it is cut."""
    lines: list[Any] = [b'\xef\xbb\xbf{"text": "first"}\n']
    for number in range(120):
        lines += [{"text": f"document {number} " * (1 + number % 9)}, b"\n", {"body": 1}, b"not json\n"]
        if number % 40 == 0:
            lines.append({"text": "long " * 700 + str(number)})
    lines.append(b'{"text": "without an end"}')
    write_jsonl(tmp_path / "data.jsonl", lines)
    whole = built(tmp_path / "data.jsonl", tmp_path / "whole")
    for range_bytes in (64, 333, 4_096):
        monkeypatch.setattr(sources, "RANGE_BYTES", range_bytes)
        monkeypatch.setattr(scan, "TASK_BYTES", 3 * range_bytes)
        folder = built(tmp_path / "data.jsonl", tmp_path / str(range_bytes))
        assert documents(folder) == documents(whole)
        assert (folder / "rejects.jsonl").read_bytes() == (whole / "rejects.jsonl").read_bytes()
        paths = [Dataset(one).split("train").document(57).path for one in (folder, whole)]
        assert paths[0] == paths[1]
        assert paths[0].startswith(b"data.jsonl:")
    rejects = [json.loads(line) for line in (whole / "rejects.jsonl").read_text().splitlines()]
    assert len(rejects) == 240
    faulty = [number for number, line in enumerate(lines, 1) if line in ({"body": 1}, b"not json\n")]
    assert [reject["position"] for reject in rejects] == faulty


def test_folders_of_records_are_read_with_their_format(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for part in range(3):
        rows = ROWS[part * 200 : part * 200 + 200]
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / f"part-{part}.parquet")
    (tmp_path / "data" / "README.md").write_text("about")
    folder = built(tmp_path / "data", tmp_path / "shards", format="parquet")
    assert documents(folder) == BYTES[:600]
    assert Dataset(folder).manifest.rejects == {"excluded": 1}


def test_what_cannot_be_read_is_a_reject_with_its_place(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", None, "c"], "language": ["Python", None, "C"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pa.table({"text": [1, 2]}), tmp_path / "b.parquet")
    pyarrow.parquet.write_table(pa.table({"body": ["x"]}), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes(b"PAR1 and then nothing")
    write_tar(tmp_path / "e.tar", lambda raw: raw[: len(raw) // 2 + 100])
    with tarfile.open(tmp_path / "f.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        tar.addfile(link)
        binary = tarfile.TarInfo("binary")
        binary.size = 3
        tar.addfile(binary, io.BytesIO(b"\0\1\2"))
    inputs = sorted(tmp_path.iterdir())
    build(options(inputs, tmp_path / "shards", val_fraction=0.0), Silent())
    lines = (tmp_path / "shards" / "rejects.jsonl").read_text().splitlines()
    found = [(line["file"], line["position"], line["reason"]) for line in map(json.loads, lines)]
    assert found[:5] == [
        ("a.parquet", 2, "no text"),
        ("b.parquet", 1, "text is not a string"),
        ("b.parquet", 2, "text is not a string"),
        ("c.parquet", 0, "no text key"),
        ("d.parquet", 1, "unreadable"),
    ]
    assert found[-3][::2] == ("e.tar", "unreadable")
    assert found[-2:] == [("f.tar", 1, "symlink"), ("f.tar", 2, "binary")]
    assert len(documents(tmp_path / "shards")) > 200


@pytest.mark.parametrize("text", ['[{"text": "x"}, {"text": "y"}]', '[\n{"text": "x"}\n]\n'])
def test_json_that_is_not_lines_is_told_how_to_be(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    build(options([tmp_path / "a.json.gz", Path(__file__)], tmp_path / "shards", val_fraction=0.0), Silent())
    assert "jq -c" in json.loads((tmp_path / "shards" / "rejects.jsonl").read_text().splitlines()[0])["detail"]


def test_a_line_that_is_too_large_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (base, jsonl):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 1_000)
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "y" * 5_000_000}, {"text": "z"}])
    folder = built(tmp_path / "a.jsonl", tmp_path / "shards")
    assert documents(folder) == [b"x", b"z"]
    assert json.loads((folder / "rejects.jsonl").read_text())["position"] == 2


def test_kept_columns_go_through(tmp_path: Path) -> None:
    rows = [{"text": str(n), "stars": n, "tags": ["a", n], "score": n / 2, "fork": n % 2 == 0} for n in range(9)]
    rows.append({"text": "without"})
    write_jsonl(tmp_path / "a.jsonl", [*rows, {"text": "bad", "stars": "many"}])
    keep = ("stars:int64", "tags", "score:float64", "fork:bool")
    folder = built(tmp_path / "a.jsonl", tmp_path / "shards", keep=keep)
    split = Dataset(folder).split("train")
    third, last = split.document(3), split.document(9)
    assert [third.kept(name) for name in ("stars", "tags", "score", "fork")] == [3, '["a", 3]', 1.5, False]
    assert [last.kept(name) for name in ("stars", "tags", "score", "fork")] == [None] * 4
    reject = json.loads((folder / "rejects.jsonl").read_text())
    assert (reject["position"], reject["reason"]) == (11, "kept column")
    table = pa.ipc.open_file(folder / "base" / "train-00000.arrow").read_all()
    assert table.schema.names[-5:] == ["stars", "tags", "score", "fork", "raw"]


@pytest.mark.parametrize("keep", [("raw",), ("stars:int",), ("a", "a"), ("",)])
def test_columns_that_cannot_be_kept(keep: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    with pytest.raises(OptionError, match="--keep"):
        options(tmp_path, tmp_path / "out", keep=keep)


def test_an_input_that_changes_is_an_error_in_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pcdata.building import planning

    for name in ("data.parquet", "data.tar", "data.jsonl", "stream.arrow"):
        path = tmp_path / name
        WRITERS[name](path)
        real = planning.make_plan

        def plan(*given: Any, path: Path = path, name: str = name, real: Any = real) -> Any:
            kept, ROWS[350:] = ROWS[350:], []
            try:
                path.write_bytes(b"") if name == "data.tar" else WRITERS[name](path)
            finally:
                ROWS[350:] = kept
            return real(*given)

        with monkeypatch.context() as patch:
            patch.setattr(planning, "make_plan", plan)
            with pytest.raises(InputError, match="input changed while it was read"):
                built(path, tmp_path / f"{name}-shards")


def test_standard_input_is_read_once_and_a_killed_build_goes_on_without_it(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    command = [sys.executable, "-m", "pcdata.cli", "build", "-", "-o", str(tmp_path / "shards"), "-q", "-j1"]
    killed = subprocess.run(
        command,
        input=(tmp_path / "data.jsonl").read_bytes(),
        env={**os.environ, "PCDATA_KILL_AT": "plan.written:1"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    assert verify(tmp_path / "shards").ok
    found = {d.raw.tobytes() for s in ("train", "val") for d in map(*every(Dataset(tmp_path / "shards").split(s)))}
    assert found == set(BYTES)
    again = subprocess.run(command, input=(tmp_path / "data.jsonl").read_bytes(), check=False)
    assert again.returncode == 0
    other = subprocess.run(command, input=b'{"text": "other"}\n', capture_output=True, check=False)
    assert other.returncode == 1
    assert b"the input files have changed since" in other.stderr


def every(split: Any) -> tuple[Any, range]:
    return split.document, range(split.n_documents)


def test_globs_that_the_shell_left_alone(tmp_path: Path) -> None:
    for part in range(3):
        rows = ROWS[part * 200 : part * 200 + 200]
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / f"part {part}.parquet")
    asked = ["build", str(tmp_path / "part *.parquet"), "-o", str(tmp_path / "shards"), "--val-fraction", "0", "-j1"]
    assert CliRunner().invoke(main, asked).exit_code == 0
    assert documents(tmp_path / "shards") == BYTES[:600]
    nothing = CliRunner().invoke(main, ["build", str(tmp_path / "no*.parquet"), "-o", str(tmp_path / "other")])
    assert nothing.exit_code == 1
    assert "no*.parquet does not exist" in nothing.stderr


def test_links_of_a_download_cache_are_taken_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "blobs" / "deadbeef")
    (tmp_path / "snapshot" / "train.parquet").symlink_to("../blobs/deadbeef")
    asked = ["--format", "parquet", "-o", str(tmp_path / "shards"), "--val-fraction", "0", "-j1"]
    refused = CliRunner().invoke(main, ["build", str(tmp_path / "snapshot"), *asked])
    assert refused.exit_code == 1
    assert "not followed unless named, as by a glob: DIR/*" in refused.stderr
    assert CliRunner().invoke(main, ["build", str(tmp_path / "snapshot" / "*"), *asked]).exit_code == 0
    assert documents(tmp_path / "shards") == BYTES


@pytest.mark.parametrize("name", ["data.jsonl.zst", "data.tar.gz", "data.parquet"])
def test_a_file_is_gone_through_once_for_all_shards_of_a_split(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one worker: scan, the fitting sample, train, val."""
    path = tmp_path / name
    WRITERS[name](path)
    opened: list[object] = []
    open_records = records._open_records

    def counting(*arguments: Any) -> Any:
        opened.append(open_records(*arguments))
        return opened[-1]

    monkeypatch.setattr(records, "_open_records", counting)
    result = build(options(path, tmp_path / "shards", "zstd", shard_bytes=4_000, workers=1), Silent())
    assert result.written > 8
    assert len(opened) == 4
