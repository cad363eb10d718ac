"""JSON and TOML of strangers, nested deeply: a sentence that names the file, wherever it is read."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest

from pcdata.building.fit import open_views
from pcdata.building.workspace import Workspace
from pcdata.dataset.manifest import FileEntry, load_manifest
from pcdata.errors import BuildError
from tests.building.corpora import write_code
from tests.command_lines import pcdata
from tests.dataset.written import save
from tests.paths import GOLDEN, ROOT

DEEP = (b'{"a":' * 100_000, b"[" * 100_000, b'{"a":' * 300 + b"1" + b"}" * 300, b"1" * 5000)
BUILD = ("build", "code", "-o", "out", "-j1", "--val-fraction", "0", "-c")
READ = {
    "manifest.json": [
        ("stats", "."),
        ("stats", ".", "--json"),
        ("verify", "."),
        ("config", "."),
        ("show", "."),
        ("merge", ".", "made", "-o", "out"),
        ("drop-view", ".", "bpe"),
        ("add-view", ".", "-c", "gzip"),
        ("report", ".", "-o", "page.html"),
        ("export-docs", ".", "-o", "out"),
    ],
    "probe.json": [("report", "made", "-o", "page.html", "--probe", "probe.json")],
    "options.toml": [(*BUILD, "gzip", "--config", "options.toml")],
    "artifact/fitted.json": [
        (*BUILD, "zstd:artifact=artifact"),
        ("fit", "zstd:size=300", "code", "-o", "artifact", "-j1", "--val-fraction", "0"),
    ],
    "artifact/settings.json": [(*BUILD, "ngram:artifact=artifact")],
    "tokenizer.json": [(*BUILD, "bpe:artifact=tokenizer.json")],
    "made/.build/options.json": [
        ("build", "code", "-o", "made", "-j1"),
        ("drop-view", "made", "bpe"),
        ("add-view", "made", "-c", "gzip:name=new"),
    ],
    "begun/.build/options.json": [(*BUILD, "gzip", "-o", "begun")],
}
CALLS = [(file, call) for file, calls in READ.items() for call in calls]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("deep")
    write_code(place / "code", files=8)
    shutil.copytree(GOLDEN, place / "made")
    shutil.copytree(place / "made" / "views" / "ngram" / "artifact", place / "artifact")
    for folder in (place / "made", place / "begun"):
        (folder / ".build").mkdir(parents=True)
        (folder / ".build" / "lock").touch()
    return place


@pytest.mark.parametrize("deep", DEEP, ids=["objects", "lists", "whole", "number"])
@pytest.mark.parametrize(("file", "call"), CALLS, ids=[f"{file} {call[0]}" for file, call in CALLS])
def test_one_sentence(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, call: tuple[str, ...], deep: bytes
) -> None:
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path(file).write_bytes(b"a = " + deep if file.endswith(".toml") else deep)
    done = pcdata(*call)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert Path(file).name in done.stderr
    assert len(done.stderr) < 500


@pytest.mark.parametrize("file", ["state.json", "dataset_dict.json"])
def test_a_folder_of_files_is_one(tmp_path: Path, file: str) -> None:
    """What ``save_to_disk`` did not write is a file of the corpus like others."""
    for number, deep in enumerate(DEEP):
        code = tmp_path / f"code{number}"
        write_code(code, files=8)
        (code / file).write_bytes(deep)
        done = pcdata("build", code, "-o", tmp_path / f"out{number}", "-j1", "--val-fraction", "0", "--quiet")
        assert done.exit_code == 0, done.output


def test_rejects_of_a_dataset(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place / "made", tmp_path / "made", ignore=shutil.ignore_patterns(".build"))
    for line in (*DEEP, b'{"file": "a", "position": 0, "reason": [], "detail": ""}'):
        (folder / "rejects.jsonl").write_bytes(line)
        entry = FileEntry("rejects.jsonl", len(line), hashlib.sha256(line).hexdigest())
        save(folder, dataclasses.replace(load_manifest(folder), rejects_file=entry))
        done = pcdata("verify", folder, "-j1")
        assert done.exit_code == 1, done.output
        assert "rejects.jsonl: line 1" in done.stdout


@pytest.mark.parametrize("options", [b"[]", b"7", b"{}", b'{"merge": []}'])
def test_options_that_are_no_builds(place: Path, tmp_path: Path, options: bytes) -> None:
    folder = shutil.copytree(place / "begun", tmp_path / "begun")
    (folder / ".build" / "options.json").write_bytes(options)
    done = pcdata("build", place / "code", "-o", folder, "-j1")
    assert done.exit_code == 1, done.output
    assert "unfinished build" in done.stderr or "options.json is damaged" in done.stderr


@pytest.mark.parametrize("views", [*DEEP, b"7", b"[7]", b'[{"name": 1}]'])
def test_views_that_no_build_wrote(tmp_path: Path, views: bytes) -> None:
    state = Workspace(tmp_path)
    state.folder.mkdir()
    state.write("views.json", views)
    with pytest.raises(BuildError, match=r"views\.json is damaged"):
        assert not open_views(state)


def test_no_other_place_reads_them() -> None:
    """``json.loads`` and ``tomllib`` raise what their callers do not expect."""
    seen = 0
    for path in sorted([*(ROOT / "pcdata").rglob("*.py"), *(ROOT / "pctrain").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                called = f"{node.value.id}.{node.attr}"
                if called in ("json.load", "json.loads", "tomllib.load", "tomllib.loads"):
                    seen += 1
                    assert path.name == "json_files.py", path
    assert seen
