"""A ``save_to_disk`` folder that somebody else made: no file outside is read, and none in it is lost unsaid."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from pcdata.cli import main
from pcdata.inputs.options import InputOptions
from pcdata.inputs.sources import Entry, Skipped, find_entries


def arrow(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, pa.schema([("text", pa.string())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([text])], ["text"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits, of which one is refused by each test; a good file; and something private beside it."""
    arrow(tmp_path / "private" / "secret.arrow", "TOP SECRET")
    arrow(tmp_path / "in" / "train" / "data.arrow", "good")
    state(tmp_path / "in" / "train", "data.arrow")
    splits(tmp_path / "in", "train")
    return tmp_path / "in"


def state(folder: Path, *names: Any) -> None:
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))


def splits(folder: Path, *names: Any) -> None:
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": names}))


def found(folder: Path) -> tuple[list[bytes], list[tuple[bytes, str]]]:
    """What would be read, and what would not."""
    entries = [*find_entries(InputOptions((folder,)))]
    skipped = [(one.relative, one.reason) for one in entries if isinstance(one, Skipped)]
    return [one.relative for one in entries if isinstance(one, Entry)], skipped


@pytest.mark.parametrize("name", [".", "..", "../private", "/", "", "train/../../private", "a\0b", "\ud800", "x" * 300])
def test_a_split_is_a_folder_inside(name: str, folder: Path) -> None:
    state(folder.parent / "private", "secret.arrow")
    splits(folder, name, "train")
    read, skipped = found(folder)
    assert read == [b"train/data.arrow"]
    assert [reason for _, reason in skipped] == ["unreadable"]


@pytest.mark.parametrize(
    "name", ["../../private/secret.arrow", ".", "nope.arrow", "a\0b", "\ud800", "link.arrow", "fifo", "sub", "x" * 300]
)
def test_a_file_is_a_regular_one_inside(name: str, folder: Path) -> None:
    (folder / "train" / "link.arrow").symlink_to(folder.parent / "private" / "secret.arrow")
    os.mkfifo(folder / "train" / "fifo")
    (folder / "train" / "sub").mkdir()
    state(folder / "train", name, "data.arrow")
    read, skipped = found(folder)
    assert read == [b"train/data.arrow"]
    assert [reason for _, reason in skipped] == ["unreadable"]


def test_a_split_without_files_is_said(folder: Path) -> None:
    splits(folder, "train", "test")
    assert found(folder) == ([b"train/data.arrow"], [(b"test", "unreadable")])


@pytest.mark.parametrize(
    "text",
    ["[]", '{"_data_files":"x"}', '{"_data_files":[{"filename":5}]}', "[" * 100_000, "{}", "\ud800", "9" * 9_999],
)
def test_another_file_of_that_name_is_a_file(text: str, folder: Path) -> None:
    (folder / "dataset_dict.json").unlink()
    (folder / "state.json").write_text(text, errors="surrogatepass")
    read, skipped = found(folder)
    assert read == [b"state.json", b"train/data.arrow", b"train/state.json"]
    assert skipped == []


def test_one_that_is_too_large_is_not_read_into_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(folder) == ([b"train/data.arrow"], [])
    monkeypatch.setattr("pcdata.inputs.saved._MAX_BYTES", 10)
    assert found(folder)[0] == [b"dataset_dict.json", b"train/data.arrow", b"train/state.json"]


@pytest.mark.parametrize(
    "break_", [lambda folder: splits(folder, "."), lambda folder: state(folder / "train", "../../private/secret.arrow")]
)
def test_where_nothing_is_left_the_sentence_says_why(break_: Callable[[Path], None], folder: Path) -> None:
    break_(folder)
    done = CliRunner().invoke(main, ["build", str(folder), "-o", str(folder.parent / "out"), "-j1"])
    assert done.exit_code == 1
    assert "is no path of a file inside the folder" in done.stderr
