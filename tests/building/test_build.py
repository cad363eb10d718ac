"""The laws of a build: complete, reproducible, and nothing taken for granted about what is in the folder."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pcdata.building.plan
import pcdata.building.planning
import pcdata.building.scan
import pcdata.building.write
from pcdata.building.build import BuildResult, build
from pcdata.building.progress import Reporter
from pcdata.cli import main
from pcdata.codecs.gzip import GzipCodec
from pcdata.dataset import Dataset
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.identity import doc_id_of
from pcdata.errors import BuildError, CodecError, InputError, PcdataError
from tests.building.corpora import assert_same_tree, options, write_code, write_hostile, write_jsonl
from tests.dataset.contents import documents_of

ALL = ("zstd", "gzip", "bpe:vocab_size=300", "zstd:unit=block,name=blocks")


def rejects_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]


def run(*arguments: object, **rest: object) -> BuildResult:
    return build(options(*arguments, **rest), Reporter())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "code"
    write_code(folder)
    return folder


@pytest.fixture(scope="module")
def reference(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("reference") / "shards"
    run(code, output, *ALL)
    return output


def test_the_reference_is_not_trivial(reference: Path) -> None:
    manifest = Dataset(reference).manifest
    assert len(manifest.base.splits["train"]) >= 4
    assert len(manifest.base.splits["val"]) >= 1
    assert [view.name for view in manifest.views] == ["zstd", "gzip", "bpe", "blocks"]
    assert all(shard.symbols for view in manifest.views for shard in view.splits["train"])


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_bytes(code: Path, reference: Path, tmp_path: Path, workers: int) -> None:
    run(code, tmp_path / "shards", *ALL, workers=workers)
    assert_same_tree(reference, tmp_path / "shards")


def test_a_codec_that_breaks_its_promise_writes_no_view(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns are narrow because of it: a symbol too large would become another one, in silence."""
    encode = GzipCodec.encode

    def broken(self: GzipCodec, documents: Sequence[bytes]) -> ViewColumns:
        columns = encode(self, documents)
        return replace(columns, symbols=columns.symbols.astype(np.uint16) + np.uint16(9))

    monkeypatch.setattr(GzipCodec, "encode", broken)
    with pytest.raises(CodecError, match="view mine: codec gzip breaks its own promise: symbols is of uint16"):
        run(code, tmp_path / "shards", "gzip:name=mine")
    assert not list((tmp_path / "shards" / "views").rglob("*.arrow*"))


def test_the_place_of_the_folders_does_not_matter(code: Path, reference: Path, tmp_path: Path) -> None:
    moved = tmp_path / "else where" / "code"
    moved.parent.mkdir()
    write_code(moved)
    run(moved, tmp_path / "shards", *ALL)
    assert_same_tree(reference, tmp_path / "shards")


def test_every_hostile_file_is_there_or_explained(tmp_path: Path) -> None:
    expected = write_hostile(tmp_path / "in")
    run(tmp_path / "in", tmp_path / "shards", *ALL, max_document_bytes=30_000, val_fraction=0.3)
    assert documents_of(tmp_path / "shards") == Counter(expected.items())
    reasons = {reject["file"]: reject["reason"] for reject in rejects_of(tmp_path / "shards")}
    assert reasons == {
        ".git/": "excluded",
        "binary.bin": "binary",
        "link.py": "symlink",
        "pipe": "not a file",
        "sub/loop": "symlink",
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    contents=st.lists(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), min_size=1, max_size=30),
    repeats=st.integers(1, 3),
    partition=st.integers(1, 8),
)
def test_every_record_is_there_once_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], repeats: int, partition: int
) -> None:
    folder = tmp_path_factory.mktemp("case")
    raws = [content.decode("utf-8", "replace") for content in contents] * repeats
    write_jsonl(folder / "data.jsonl", [{"text": text} for text in raws])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pcdata.building.plan, "PARTITION_DOCUMENTS", partition)
        patch.setattr(pcdata.building.write, "BLOCK_RAW_BYTES", 300)
        run(folder / "data.jsonl", folder / "shards", "gzip", val_fraction=0.0, shard_bytes=1_000)
    distinct = dict.fromkeys(text.encode() for text in raws)
    split = Dataset(folder / "shards").split("train")
    documents = [split.document(number) for number in range(split.n_documents)]
    assert [document.raw.tobytes() for document in documents] == list(distinct)  # in input order, the first of equals
    assert [bytes.fromhex(document.doc_id) for document in documents] == [doc_id_of(raw) for raw in distinct]
    rejects = rejects_of(folder / "shards")
    assert len(rejects) == len(raws) - len(distinct)
    assert {reject["reason"] for reject in rejects} <= {"duplicate"}
    first_lines = {raw: position for position, raw in reversed(list(enumerate(raws, start=1)))}
    assert [reject["position"] for reject in rejects] == sorted(
        set(range(1, len(raws) + 1)) - set(first_lines.values())
    )


@pytest.mark.parametrize(("partition", "spread"), [(5, 1), (5, 7), (7, 1_000), (1_000, 7)])
def test_duplicates_are_found_whatever_is_held_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partition: int, spread: int
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(60):
        (tmp_path / "in" / f"{number:02}.txt").write_text(f"content {number * number % 37}\n")
    monkeypatch.setattr(pcdata.building.scan, "TASK_ENTRIES", 4)
    monkeypatch.setattr(pcdata.building.plan, "PARTITION_DOCUMENTS", partition)
    monkeypatch.setattr(pcdata.building.plan, "SPREAD_DOCUMENTS", spread)
    result = run(tmp_path / "in", tmp_path / "shards", val_fraction=0.0)
    assert result.scanned == 15
    first_of = {number * number % 37: number for number in reversed(range(60))}
    kept = {path for path, _ in documents_of(tmp_path / "shards")}
    assert kept == {b"%02d.txt" % number for number in first_of.values()}
    assert len(rejects_of(tmp_path / "shards")) == 60 - len(first_of) > 20


def test_parts_of_a_document_stay_in_one_split(tmp_path: Path) -> None:
    for number in range(20):
        text = "".join(f"document {number} line {line}\n" for line in range(200))
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.txt").write_text(text)
    run(tmp_path / "in", tmp_path / "shards", max_document_bytes=500, val_fraction=0.4)
    dataset = Dataset(tmp_path / "shards")
    paths = {}
    for name in ("train", "val"):
        split = dataset.split(name)
        paths[name] = {split.document(number).path for number in range(split.n_documents)}
        assert split.n_documents > 5 * len(paths[name])
    assert not paths["train"] & paths["val"]
    assert len(paths["train"] | paths["val"]) == 20


def test_the_val_split_follows_its_fraction(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", [{"text": f"document {number}"} for number in range(4_000)])
    run(tmp_path / "data.jsonl", tmp_path / "shards", val_fraction=0.1)
    n_val = Dataset(tmp_path / "shards").split("val").n_documents
    assert 330 < n_val < 470  # 400 ± 3.7 standard deviations


def test_a_second_run_does_nothing_and_other_options_are_refused(code: Path, tmp_path: Path) -> None:
    output = tmp_path / "shards"
    first = run(code, output, "gzip")
    assert (first.written, first.was_complete) == (len(list(output.glob("base/*"))), False)
    again = run(code, output, "gzip")
    assert (again.written, again.scanned, again.was_complete) == (0, 0, True)
    with pytest.raises(BuildError) as caught:
        run(code, output, "gzip:level=1")
    assert str(caught.value) == (
        f"{output} is a finished dataset with the view gzip, and you asked for the view gzip:level=1; change its "
        "views with pcdata add-view and drop-view, or name a new folder with -o"
    )
    with pytest.raises(BuildError, match=r"other val_fraction: 0\.25, now 0\.5"):
        run(code, output, "gzip", val_fraction=0.5)
    assert sorted(path.name for path in output.iterdir()) == ["base", "manifest.json", "rejects.jsonl", "views"]


def test_changed_inputs_are_noticed_on_a_second_run(tmp_path: Path) -> None:
    write_code(tmp_path / "in", files=12)
    run(tmp_path / "in", tmp_path / "shards")
    (tmp_path / "in" / "new.py").write_text("x = 1\n")
    with pytest.raises(BuildError, match="input files have changed"):
        run(tmp_path / "in", tmp_path / "shards")


def test_an_input_that_changes_between_scan_and_write_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_code(tmp_path / "in", files=12)
    victim = next((tmp_path / "in").rglob("module7.py"))
    make_plan = pcdata.building.planning.make_plan

    def change_then_plan(*arguments: object) -> object:
        victim.write_bytes(victim.read_bytes().replace(b"return", b"yield_"))
        return make_plan(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pcdata.building.planning, "make_plan", change_then_plan)
    with pytest.raises(InputError, match=r"input changed .*module7\.py"):
        run(tmp_path / "in", tmp_path / "shards", val_fraction=0.0)
    assert not (tmp_path / "shards" / "manifest.json").exists()


def test_folders_with_something_else_in_them_are_left_alone(code: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BuildError, match=r"not empty .*notes\.txt"):
        run(code, tmp_path)
    with pytest.raises(BuildError, match="is a file"):
        run(code, tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, {}, "no files there"),
        ({"a.jsonl": b"\n\n"}, {"format": "jsonl"}, "no records there"),
        ({"a.tar": bytes(1024)}, {"format": "tar"}, "no records there"),
        ({"a.bin": b"\0"}, {}, r"no documents; the only input was refused: a\.bin: binary"),
        ({"a.py": b"x"}, {"val_fraction": 0.0001}, "the val split is empty: the only document was not drawn"),
        ({"a.py": b"x"}, {"val_fraction": 0.9999}, r"the train split is empty: val took all documents \(1\)"),
    ],
)
def test_nothing_to_build(tmp_path: Path, files: dict[str, bytes], arguments: dict[str, object], message: str) -> None:
    (tmp_path / "in").mkdir()
    for name, raw in files.items():
        (tmp_path / "in" / name).write_bytes(raw)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "in", tmp_path / "shards", **arguments)
    assert not (tmp_path / "shards").exists(), "what cannot be gone on with is not left behind"
    (tmp_path / "in" / "more.py").write_bytes(b"more")
    run(tmp_path / "in", tmp_path / "shards", val_fraction=0.0)
    assert (tmp_path / "shards" / "manifest.json").exists()


class Said(Reporter):
    """A reporter that remembers the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("val_by", ["document", "source"])
@pytest.mark.parametrize(("fraction", "empty"), [(1e-9, "val"), (1 - 1e-9, "train"), (0.5, None)])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_split_is_empty_where_there_are_two_documents(
    tmp_path: Path, val_by: str, fraction: float, empty: str | None, workers: int
) -> None:
    inputs = [tmp_path / name for name in ("one", "two", "three", "four", "five")]
    for folder in inputs:
        folder.mkdir()
        (folder / "a.py").write_text(f"# {folder.name}\n" * 3)
    said = Said()
    build(options(inputs, tmp_path / "shards", val_fraction=fraction, val_by=val_by, workers=workers), said)
    dataset = Dataset(tmp_path / "shards")
    counts = {name: dataset.split(name).n_documents for name in ("train", "val")}
    assert sum(counts.values()) == 5
    assert min(counts.values()) >= 1
    assert (counts.get(empty) == 1) or empty is None
    assert [line for line in said.lines if "was drawn into" in line] == [
        f"no document was drawn into {empty} with --val-fraction {fraction:g}, so one was put there"
        for _ in range(empty is not None)
    ]


def test_jsonl_without_the_text_key_names_the_keys_there_are(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", [{"body": "x", "path": "a"}])
    with pytest.raises(
        InputError,
        match=r"data\.jsonl line 1: no text key \(no key 'text' or 'content' or 'code'; its keys: 'body', 'path'",
    ):
        run(tmp_path / "data.jsonl", tmp_path / "shards")
    run(tmp_path / "data.jsonl", tmp_path / "shards", text_key="body", val_fraction=0.0)


def test_two_inputs_keep_their_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text(f"# {name}\n")
    run([tmp_path / "two", tmp_path / "one"], tmp_path / "shards", val_fraction=0.0)
    split = Dataset(tmp_path / "shards").split("train")
    assert [(split.document(n).source, split.document(n).path) for n in range(2)] == [
        ("two", b"same.py"),
        ("one", b"same.py"),
    ]


def test_two_builds_in_one_folder_at_once(code: Path, tmp_path: Path) -> None:
    from pcdata.building.workspace import Workspace

    with Workspace(tmp_path / "shards").locked(), pytest.raises(BuildError, match="is being built by process"):
        run(code, tmp_path / "shards")


def test_explained_are_all_of_one_family() -> None:
    assert issubclass(BuildError, PcdataError)
    assert issubclass(InputError, PcdataError)


def test_where_only_views_are_missing_the_command_that_adds_them_is_said(code: Path, tmp_path: Path) -> None:
    output = tmp_path / "my shards"
    run(code, output, "gzip")
    asked = ("gzip", "zstd:level=9,dictionary=0,name=fast", "doublebyte")
    with pytest.raises(BuildError) as caught:
        run(code, output, *asked)
    said = str(caught.value)
    assert "[{" not in said
    command = said.partition("add what is missing with ")[2].removesuffix(", or name a new folder with -o")
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert run(code, output, *asked).was_complete
    with pytest.raises(
        BuildError,
        match="gzip, zstd:level=9,dictionary=0,name=fast and doublebyte, and you asked for the view gzip; change its",
    ):
        run(code, output, "gzip")
    with pytest.raises(BuildError) as caught:  # nor would add-view make the dataset that is asked for here
        run(code, output, *asked, "bit", val_fraction=0.5)
    assert "add-view" not in str(caught.value)


def test_workers_read_tables_in_processes_of_their_own(tmp_path: Path) -> None:
    """A worker of a build starts one for each Parquet file, which may come from a stranger."""
    for number in range(2):
        texts = [f"def f{number}_{row}(x): return x\n" * 9 for row in range(60)]
        pq.write_table(pa.table({"text": texts}), tmp_path / f"{number}.parquet")
    inputs = sorted(tmp_path.glob("*.parquet"))
    for workers in (1, 2):
        assert run(inputs, tmp_path / f"out{workers}", "gzip", workers=workers).whole_documents == 120
    assert_same_tree(tmp_path / "out1", tmp_path / "out2")
