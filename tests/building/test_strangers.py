"""A dataset that somebody else made cannot make a command write or delete outside of it."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcdata.building.build import build
from pcdata.building.config_file import render_config
from pcdata.building.progress import Reporter
from pcdata.codecs.requests import parse_requests
from pcdata.dataset.manifest import MANIFEST, load_manifest
from pcdata.editing.add_view import add_views
from pcdata.editing.drop_view import drop_view
from pcdata.editing.merge import merge
from pcdata.errors import BuildError, DatasetError, PcdataError
from pcdata.verifying.verify import verify
from tests.building.corpora import assert_same_tree, options, write_code
from tests.dataset.written import save, save_as_json

VIEWS = ("zstd:dictionary=0", "bpe:vocab_size=300")


def add(folder: Path, *compressors: str) -> None:
    add_views(folder, parse_requests(compressors), 1, Reporter())


def entries(folder: Path) -> dict[str, bytes | str | None]:
    """All that is in a folder: contents of files, targets of links, None for folders."""
    return {
        str(path.relative_to(folder)): path.readlink().as_posix()
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus in ``code``, and ``made``, built from it."""
    place = tmp_path_factory.mktemp("place")
    write_code(place / "code", files=12)
    build(options(place / "code", place / "made", *VIEWS), Reporter())
    return place


@pytest.fixture
def dataset(place: Path, tmp_path: Path) -> Path:
    """A copy, beside a folder ``home`` that is not to be touched."""
    (tmp_path / "home" / "bpe").mkdir(parents=True)
    (tmp_path / "home" / "thesis.tex").write_text("data")
    (tmp_path / "home" / "bpe" / "notes").write_text("data")
    return shutil.copytree(place / "made", tmp_path / "dataset")


COMMANDS: dict[str, Callable[[Path, Path], Any]] = {
    "drop-view": lambda dataset, code: drop_view(dataset, "bpe"),
    "add-view": lambda dataset, code: add(dataset, "gzip"),
    "build": lambda dataset, code: build(options(code, dataset, *VIEWS), Reporter()),
}


def _state(dataset: Path, adding: list[Any]) -> None:
    (dataset / ".build").mkdir()
    (dataset / ".build" / "lock").touch()
    (dataset / ".build" / "options.json").write_text(json.dumps({"add-view": adding}))


TRAPS: dict[str, Callable[[Path], Any]] = {
    "state is a link": lambda dataset: (dataset / ".build").symlink_to("../home"),
    "state is a dangling link": lambda dataset: (dataset / ".build").symlink_to("../home/new"),
    "state of another program": lambda dataset: (dataset / ".build" / "debug").mkdir(parents=True),
    "lock": lambda dataset: (_state(dataset, []), _linked(dataset / ".build" / "lock", "../../home/thesis.tex")),
    "a folder of the state": lambda dataset: (_state(dataset, []), _linked(dataset / ".build" / "done", "../../home")),
    "a file of the state": lambda dataset: (_state(dataset, []), os.mkfifo(dataset / ".build" / "views.json")),
    "names": lambda dataset: _state(dataset, [{"name": "bpe"}, {"name": "../../home"}]),
    "absolute names": lambda dataset: _state(dataset, [{"name": "bpe"}, {"name": str(dataset.parent / "home")}]),
    "no names": lambda dataset: _state(dataset, [7]),
    "no JSON": lambda dataset: (_state(dataset, []), (dataset / ".build" / "options.json").write_text("[" * 99_999)),
}


def _linked(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("trap", TRAPS)
def test_no_state_leads_out(dataset: Path, place: Path, trap: str, command: str) -> None:
    TRAPS[trap](dataset)
    home = entries(dataset.parent / "home")
    views = entries(dataset / "views")
    with pytest.raises(PcdataError) as caught:
        COMMANDS[command](dataset, place / "code")
    assert ".build" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert entries(dataset.parent / "home") == home
    assert entries(dataset / "views") == views


@pytest.mark.parametrize("target", ["../home", "../../home"])
@pytest.mark.parametrize("command", ["drop-view", "add-view"])
def test_no_folder_of_views_leads_out(dataset: Path, place: Path, target: str, command: str) -> None:
    linked = (
        dataset / "views" if target == "../home" else dataset / "views" / ("bpe" if command == "drop-view" else "gzip")
    )
    shutil.rmtree(linked, ignore_errors=True)
    linked.symlink_to(target)
    home = entries(dataset.parent / "home")
    with pytest.raises(DatasetError, match=r"leads out of .* by a symbolic link"):
        COMMANDS[command](dataset, place / "code")
    assert entries(dataset.parent / "home") == home


REFUSED: dict[str, Callable[[Path, Path], Any]] = {
    "drop-view of none": lambda dataset, place: drop_view(dataset, "nope"),
    "drop-view of a path": lambda dataset, place: drop_view(dataset, "../views/bpe"),
    "add-view of a name that is taken": lambda dataset, place: add(dataset, "gzip:name=bpe"),
    "build with other options": lambda dataset, place: build(options(place / "code", dataset), Reporter()),
    "merge into it": lambda dataset, place: merge([place / "made", _other(place)], dataset, 1, Reporter()),
}


def _other(place: Path) -> Path:
    if not (place / "other").exists():
        shutil.copytree(place / "made", place / "other")
    return place / "other"


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_is_refused_changes_nothing(dataset: Path, place: Path, command: str) -> None:
    before = entries(dataset)
    with pytest.raises((BuildError, DatasetError)):
        REFUSED[command](dataset, place)
    assert entries(dataset) == before
    assert verify(dataset, quick=True).ok


def test_a_refused_build_leaves_no_folder(place: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PcdataError):
        build(options(tmp_path / "empty", tmp_path / "new"), Reporter())
    assert not (tmp_path / "new").exists()


def test_a_state_that_does_not_say_of_what_is_not_gone_on_with(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    (output / ".build" / "plan").mkdir(parents=True)
    (output / ".build" / "lock").touch()
    (output / ".build" / "plan" / "plan.json").write_text('{"shards": [], "rejects": {}}')
    (output / ".build" / "inputs.json").write_text('{"tasks": 0, "digest": ""}')
    build(options(place / "code", output, *VIEWS), Reporter())
    assert_same_tree(place / "made", output)


def test_config_prints_what_shapes_a_dataset_alone(dataset: Path) -> None:
    manifest = load_manifest(dataset)
    foreign = {"engine": "ray", "ray_address": "10.0.0.1:6379", "workers": 9, "strict": True, "output": "/", "x": 1}
    save(dataset, replace(manifest, options={**manifest.options, **foreign, "val_list": "0\nengine = 'ray'"}))
    printed = tomllib.loads(render_config(dataset))
    assert printed.keys() & {*foreign, "val_list", "inputs"} == set()
    assert printed["shard_bytes"] == manifest.options["shard_bytes"]


@pytest.mark.parametrize(
    "change",
    [
        {"include": {"a": 1}},
        {"shard_bytes": "9\n"},
        {"compressors": [{"codec": "zstd"}]},
        {"compressors": 7},
        {"inputs": None},
    ],
)
def test_config_refuses_options_that_are_none(dataset: Path, change: dict[str, Any]) -> None:
    body = json.loads((dataset / MANIFEST).read_bytes())
    save_as_json(dataset, {**body, "options": {**body["options"], **change}})
    with pytest.raises(DatasetError, match="options"):
        render_config(dataset)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"level": "3,artifact=/etc/passwd"}},
        {"codec": "zstd:artifact=/etc/passwd"},
        {"name": "../x", "artifact": "0"},
    ],
)
def test_config_names_no_file_outside(dataset: Path, change: dict[str, Any]) -> None:
    manifest = load_manifest(dataset)
    first = {**manifest.options["compressors"][0], **change}
    save(dataset, replace(manifest, options={**manifest.options, "compressors": [first]}))
    with pytest.raises(DatasetError):
        render_config(dataset)
