"""What options name and no document has is said: it is mostly a mistake, and one that is seen late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pcdata.building import scan
from pcdata.building.build import build
from pcdata.building.dry_run import dry_run
from pcdata.building.progress import Reporter
from pcdata.cli import main
from pcdata.dataset import Dataset
from pcdata.errors import InputError, OptionError
from pcdata.inputs import sources
from tests.building.corpora import options, write_jsonl

RECORDS = [{"text": f"x = {number}\n", "path": f"p/{number}.py", "stars": number} for number in range(1, 9)]


class Heard(Reporter):
    """A reporter that remembers what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def asked(tmp_path: Path, listed: bytes | None = None, **more: Any) -> Any:
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    if listed is not None:
        (tmp_path / "val.txt").write_bytes(listed)
        more["val_list"] = tmp_path / "val.txt"
    return options(tmp_path / "a.jsonl", tmp_path / "shards", **{"val_fraction": 0.0, **more})


@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        (b"\xef\xbb\xbfp/1.py\np/2.py\n", r"1 of 2 paths .*: line 1 '\\ufeffp/1.py';"),
        (b"p/1.py\np/2.py \n\n./p/4.py\n", r"2 of 3 paths .*: line 2 'p/2.py ', line 4 './p/4.py';"),
        (b"p/1.py\nx\ny\nz\nq\n", r"4 of 5 paths .*: line 2 'x', line 3 'y', line 4 'z', …;"),
    ],
)
def test_a_listed_path_of_no_document_is_an_error(listed: bytes, shown: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"val\.txt: {shown}"):
        build(asked(tmp_path, listed), Reporter())
    with pytest.raises(InputError, match=shown):
        dry_run(asked(tmp_path, listed).dataset, 1, Reporter())
    build(asked(tmp_path, b"p/1.py\r\np/2.py"), Reporter())  # in the same folder, with a mended list
    assert Dataset(tmp_path / "shards").split("val").n_documents == 2


def test_a_listed_document_may_be_refused_by_a_filter_or_twice_there(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(scan, "TASK_ENTRIES", 1)
    write_jsonl(tmp_path / "b.jsonl", [{"text": "y" * 99, "path": "long"}, {"text": "x = 1\n", "path": "again"}])
    given = asked(tmp_path, b"p/2.py\nlong\nagain\n", max_bytes=50)
    both = options(
        [tmp_path / "a.jsonl", tmp_path / "b.jsonl"], given.output, val_list=given.dataset.split.val_list, max_bytes=50
    )
    build(both, Reporter())
    assert Dataset(tmp_path / "shards").manifest.rejects == {"duplicate": 1, "too long": 1}


def test_no_copy_of_a_listed_document_is_trained_on(tmp_path: Path) -> None:
    """Of two with the same bytes the first stays; if the second is listed, the first is val."""
    write_jsonl(tmp_path / "b.jsonl", [{"text": RECORDS[2]["text"], "path": "copy"}, {"text": "z", "path": "z"}])
    given = asked(tmp_path, b"copy\n")
    build(
        options([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], given.output, val_list=tmp_path / "val.txt"),
        Reporter(),
    )
    dataset = Dataset(tmp_path / "shards")
    val, train = dataset.split("val"), dataset.split("train")
    assert [val.document(number).path for number in range(val.n_documents)] == [b"p/3.py"]
    assert train.n_documents == len(RECORDS)


def test_a_record_without_a_path_is_listed_by_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RANGE_BYTES", 50)
    write_jsonl(tmp_path / "a.jsonl", [{"text": f"x = {number}\n"} for number in range(100)])
    (tmp_path / "val.txt").write_text("a.jsonl:57\n")
    build(options(tmp_path / "a.jsonl", tmp_path / "shards", val_list=tmp_path / "val.txt"), Reporter())
    val = Dataset(tmp_path / "shards").split("val")
    assert [val.document(number).raw.tobytes() for number in range(val.n_documents)] == [b"x = 56\n"]


def test_a_kept_column_that_holds_nothing_is_said_and_refused_with_strict(tmp_path: Path) -> None:
    heard = Heard()
    build(asked(tmp_path, keep=("stars:int64", "starz", "nothing")), heard)
    assert [text.split(",")[0] for text in heard.said] == [
        "warning: --keep starz: none of 8 documents has it",
        "warning: --keep nothing: none of 8 documents has it",
    ]
    strict = options(tmp_path / "a.jsonl", tmp_path / "strict", val_fraction=0.0, keep=("starz",), strict=True)
    with pytest.raises(InputError, match="--keep starz: none of 8 documents has it"):
        build(strict, Reporter())
    assert not (tmp_path / "strict").exists()


def in_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    write_jsonl(path / "a.jsonl", records)
    return path / "a.jsonl"


def in_a_table(path: Path, records: list[dict[str, Any]]) -> Path:
    named = dict.fromkeys(name for record in records for name in record)
    pq.write_table(pa.table({name: [record.get(name) for record in records] for name in named}), path / "a.parquet")
    return path / "a.parquet"


@pytest.mark.parametrize("written", [in_lines, in_a_table])
def test_the_fields_that_datatrove_nests_are_found(
    written: Callable[[Path, list[dict[str, Any]]], Path], tmp_path: Path
) -> None:
    nested = {"path": "p/a.py", "language": "Python", "repo_name": "r", "stars": 3}
    records = [{"text": "x", "id": "1", "metadata": nested}, {"text": "y", "metadata": nested, "path": "own.c"}]
    build(options(written(tmp_path, records), tmp_path / "shards", val_fraction=0.0, keep=("stars:int64",)), Reporter())
    split = Dataset(tmp_path / "shards").split("train")
    first, second = map(split.document, range(2))
    assert (first.path, first.lang, first.source, first.kept("stars")) == (b"p/a.py", "Python", "r", 3)
    assert (second.path, second.lang) == (b"own.c", "Python")


@pytest.mark.parametrize(
    "arguments",
    [["https://example.com/a.jsonl", "-o", "shards"], ["a.jsonl", "-o", "s3://bucket/shards"], ["hf://x/y", "-o", "s"]],
)
def test_a_url_is_no_path(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    done = CliRunner().invoke(main, ["build", *arguments])
    assert done.exit_code == 1
    assert "is a URL; copy or mount what is there" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "c:").mkdir()
    write_jsonl(tmp_path / "c:" / "a.jsonl", RECORDS)
    build(options(tmp_path / "c:" / "a.jsonl", tmp_path / "shards"), Reporter())
    with pytest.raises(OptionError, match="does not exist"):
        options(tmp_path / "d:" / "a.jsonl", tmp_path / "other")
