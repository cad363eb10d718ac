"""Files are made anew, whole or not at all, and through no link; a lock is one process's."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pcdata.dataset import Dataset, DatasetError
from pcdata.dataset.files import LockFile, open_to_append, remove_temporary, replacing, temporary_folder
from pcdata.dataset.schema import BASE_SCHEMA
from pcdata.dataset.shard import ShardWriter, write_file
from tests.dataset.written import write_dataset


def test_a_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("data")
    (tmp_path / "file").symlink_to("target")
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "target").read_text() == "data"


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(TypeError), replacing(tmp_path / "file") as file:
        file.write(None)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_temporary_name_that_is_taken_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 16)
    (tmp_path / "target").write_text("data")
    (tmp_path / "views" / "v").mkdir(parents=True)
    for name in ("file", "views/v/a.arrow"):
        (tmp_path / f"{name}.{'0' * 16}.tmp").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError), replacing(tmp_path / "file"):
        pass
    with pytest.raises(FileExistsError):
        ShardWriter(tmp_path, "views/v/a.arrow", BASE_SCHEMA)
    assert (tmp_path / "target").read_text() == "data"


@pytest.mark.parametrize("path", ["../out", "views/out", "/out", "a/../../out"])
def test_nothing_is_written_outside(tmp_path: Path, path: str) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "views").symlink_to(tmp_path)
    with pytest.raises(DatasetError):
        write_file(tmp_path / "dataset", path, b"data")
    with pytest.raises(DatasetError):
        ShardWriter(tmp_path / "dataset", path, BASE_SCHEMA)
    assert not [*tmp_path.glob("*out*")]


def test_appending_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    with open_to_append(tmp_path / "file") as file:
        file.write(b"b")
    assert (tmp_path / "file").read_text() == "ab"
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        with pytest.raises(DatasetError, match="is not a regular file"):
            open_to_append(tmp_path / name)


def test_only_temporary_files_are_rubbish_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "home" / "x.tmp").mkdir(parents=True)
    (tmp_path / "home" / "y.tmp").touch()
    (tmp_path / "dataset" / "base").mkdir(parents=True)
    (tmp_path / "dataset" / "base" / "a.tmp").touch()
    (tmp_path / "dataset" / "a.arrow").touch()
    (tmp_path / "dataset" / "link.tmp").symlink_to("../home")
    (tmp_path / "dataset" / "out").symlink_to("../home")
    (tmp_path / "dataset" / "folder.tmp").mkdir()
    remove_temporary(tmp_path / "dataset")
    names = {path.name for path in (tmp_path / "dataset").rglob("*")}
    assert names == {"base", "a.arrow", "out", "folder.tmp"}
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"x.tmp", "y.tmp"}


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo"])
def test_a_lock_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "target").write_text("data")
    lock = tmp_path / "lock"
    if kind == "fifo":
        os.mkfifo(lock)
    else:
        lock.symlink_to("target" if kind == "link" else "nothing")
    with pytest.raises(DatasetError, match="is not a regular file"):
        LockFile(lock)
    assert (tmp_path / "target").read_text() == "data"
    assert not (tmp_path / "nothing").exists()


def test_a_lock_names_its_owner_and_is_freed(tmp_path: Path) -> None:
    first = LockFile(tmp_path / "lock")
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on "):
        LockFile(tmp_path / "lock")
    first.close()
    LockFile(tmp_path / "lock").close(remove=True)
    assert not (tmp_path / "lock").exists()


_TAKE_AND_REMOVE = """
import sys
from pathlib import Path
from pcdata.dataset.files import LockFile
path, log = Path(sys.argv[1]), sys.argv[2]
for _ in range(300):
    try:
        lock = LockFile(path)
    except BlockingIOError:
        continue
    with open(log, "ab", 0) as file:
        file.write(b"[")
        file.write(b"]")
    lock.close(remove=True)
"""


def test_a_lock_that_is_removed_is_never_held_twice(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TAKE_AND_REMOVE, str(tmp_path / "lock"), str(tmp_path / "log")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    log = (tmp_path / "log").read_text()
    assert log == "[]" * (len(log) // 2)
    assert len(log) > 100


def test_too_many_open_files_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path)

    def refuse(path: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    monkeypatch.setattr("pyarrow.memory_map", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        Dataset(tmp_path).split("train").base(0)


def test_damage_still_is(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    shard = tmp_path / "base" / "train-00000.arrow"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DatasetError, match="is damaged"):
        Dataset(tmp_path).split("train").base(0)


def test_a_temporary_folder_goes_unless_it_is_renamed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), temporary_folder(tmp_path / "out") as folder:
        (folder / "no" / "such").write_text("x")
    assert not [*tmp_path.iterdir()]
    with temporary_folder(tmp_path / "out") as folder:
        folder.replace(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_process_left_of_one_goes_with_the_next(tmp_path: Path) -> None:
    """But not one in use, of another name, or anything that is no folder."""
    name = f"out.{'0' * 16}.tmp"
    with temporary_folder(tmp_path / "out") as used:
        (tmp_path / name / "inside").mkdir(parents=True)
        (tmp_path / name.replace("0", "1")).symlink_to(tmp_path / "elsewhere")
        (tmp_path / name.replace("0", "2")).write_text("x")
        (tmp_path / "other" / name.replace("out", "others")).mkdir(parents=True)
        kept = {used.name, "other", name.replace("0", "1"), name.replace("0", "2")}
        (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
        with temporary_folder(tmp_path / "out") as folder:
            assert {path.name for path in tmp_path.iterdir()} == {*kept, folder.name, "elsewhere"}
        assert (tmp_path / "elsewhere" / "mine").is_dir()
    assert not used.exists()


def test_of_two_that_see_an_abandoned_folder_none_stumbles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process removes what another has just made and not locked yet: that one makes another."""
    made: list[Path] = []
    mkdir = Path.mkdir

    def taken_away(self: Path, *args: Any, **keywords: Any) -> None:
        mkdir(self, *args, **keywords)
        if self.name.endswith(".tmp"):
            made.append(self)
            if len(made) == 1:
                descriptor = os.open(self, os.O_RDONLY)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                stack.callback(os.close, descriptor)

    monkeypatch.setattr(Path, "mkdir", taken_away)
    with ExitStack() as stack, temporary_folder(tmp_path / "out") as folder:
        assert folder == made[1]
