"""No name that a file holds leads out of the folder that it is joined to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset import Dataset, DatasetError
from pcdata.dataset.manifest import MANIFEST, Manifest, _digest, load_manifest
from pcdata.dataset.names import check_path, inside, is_view_name, regular_file
from tests.dataset.written import write_dataset

PIECES = st.sampled_from(["a", "..", ".", "", "/", "\\", "\0", "\n", "~", "-", ".tmp", "views", "é", "x" * 300, ".git"])


@given(st.lists(PIECES, max_size=6).map("/".join) | st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=8))
def test_a_path_that_passes_is_plain_and_stays_inside(path: str) -> None:
    try:
        check_path(path)
    except DatasetError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", path)
    assert os.path.normpath(path) == path
    assert not Path(path).is_absolute()
    assert not path.startswith("..")


@pytest.mark.parametrize("path", ["rejects.jsonl", "base/train-00000.arrow", "views/z9.a_b-c/artifact/tokenizer.json"])
def test_the_formats_own_paths_pass(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "name", ["raw", "", ".", "..", "../x", "a/b", "A", "a b", "-a", ".a", "a\n", "x.tmp", "a" * 65]
)
def test_what_no_view_is_named(name: str) -> None:
    assert not is_view_name(name)
    assert is_view_name("z9.a_b-c")


def test_a_link_may_lead_elsewhere_inside_but_not_out(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    (folder / "base").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (folder / "base" / "a").write_text("y")
    (folder / "base" / "b").symlink_to("a")
    (folder / "base" / "out").symlink_to(tmp_path / "secret")
    (folder / "views").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    assert regular_file(tmp_path / "link", "base/b").read_text() == "y"  # the folder was named by the user
    for path in ("base/out", "views/secret", "views"):
        with pytest.raises(DatasetError, match="leads out of"):
            inside(folder, path)


@pytest.mark.timeout(20)
def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(DatasetError, match="is not a regular file"):
        load_manifest(tmp_path)


def _set(*keys: Any, value: Any) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for key in keys[:-1]:
            body = body[key]
        body[keys[-1]] = value

    return change


def _rename_split(body: Any) -> None:
    splits = body["base"]["splits"]
    splits["../../train"] = splits.pop("train")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("rejects_file", "path", value="../rejects.jsonl"), "no path of a file inside"),
        (_set("base", "splits", "train", 0, "file", "path", value="/etc/passwd"), "no path of a file inside"),
        (_set("views", 0, "splits", "val", 0, "file", "path", value="views/bpe/./x"), "no path of a file inside"),
        (_set("views", 0, "artifact", 0, "path", value="views/bpe/artifact/l/../../.bashrc"), "no path of a file"),
        (_set("views", 0, "artifact", 0, "path", value="base/train-00000.arrow"), "view bpe has an artifact elsewhere"),
        (_set("views", 0, "artifact", 0, "path", value="manifest.json"), "view bpe has an artifact elsewhere"),
        (_set("views", 1, "name", value="../../outside"), "'../../outside' is no name of a view"),
        (_set("views", 1, "name", value="raw"), "'raw' is no name of a view"),
        (_rename_split, "split '../../train' is none of train, val"),
    ],
)
def test_a_manifest_with_such_a_name_does_not_open(tmp_path: Path, change: Callable[[Any], None], says: str) -> None:
    write_dataset(tmp_path)
    body = json.loads((tmp_path / MANIFEST).read_bytes())
    change(body)
    (tmp_path / MANIFEST).write_bytes(_sealed(body))
    with pytest.raises(DatasetError, match=re.escape(says)) as caught:
        Dataset(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / MANIFEST))


def _sealed(body: dict[str, Any]) -> bytes:
    """As ``to_bytes`` writes it; for what no ``Manifest`` can hold."""
    text = (json.dumps({**body, "digest": ""}, indent=1) + "\n").encode()
    head = text.index(b'"digest": "') + len(b'"digest": "')
    return text[:head] + _digest(text).encode() + text[head:]


def test_sealing_is_the_writers(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path)
    assert _sealed(json.loads(manifest.to_bytes())) == manifest.to_bytes()
    assert Manifest.from_bytes(manifest.to_bytes(), "") == manifest


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link out", "fifo", "device", "folder link"])
def test_a_file_that_is_none_is_not_read(tmp_path: Path, kind: str) -> None:
    folder, shard = tmp_path / "dataset", tmp_path / "dataset/base/train-00000.arrow"
    write_dataset(folder)
    if kind == "folder link":
        (folder / "base").rename(tmp_path / "elsewhere")
        (folder / "base").symlink_to("../elsewhere")
    else:
        shard.rename(tmp_path / "shard")
        {
            "link out": lambda: shard.symlink_to("../../shard"),
            "fifo": lambda: os.mkfifo(shard),
            "device": lambda: shard.symlink_to("/dev/zero"),
        }[kind]()
    with pytest.raises(DatasetError, match=r"leads out of|is not a regular file"):
        Dataset(folder).split("train").base(0)
