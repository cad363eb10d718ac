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
from pcdata.dataset.arrow_writer import ArrowWriter, write_file
from pcdata.dataset.files import (
    LockFile,
    appearing,
    naming,
    open_to_append,
    remove_left_beside,
    remove_temporary,
    replacing,
    temporary_folder,
    temporary_name,
)
from pcdata.dataset.schema import BASE_SCHEMA
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
        ArrowWriter(tmp_path, "views/v/a.arrow", BASE_SCHEMA)
    assert (tmp_path / "target").read_text() == "data"


@pytest.mark.parametrize("path", ["../out", "views/out", "/out", "a/../../out"])
def test_nothing_is_written_outside(tmp_path: Path, path: str) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "views").symlink_to(tmp_path)
    with pytest.raises(DatasetError):
        write_file(tmp_path / "dataset", path, b"data")
    with pytest.raises(DatasetError):
        ArrowWriter(tmp_path / "dataset", path, BASE_SCHEMA)
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
    split = Dataset(tmp_path).split("train")

    def refuse(path: str, flags: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(OSError, match=r"Too many open files: .*base/train-00000.arrow"):
        split.base(0)


def test_damage_still_is(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    shard = tmp_path / "base" / "train-00000.arrow"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DatasetError, match=r"base/train-00000.arrow: it does not open as an Arrow file"):
        Dataset(tmp_path).split("train").base(0)


def test_what_was_left_beside_a_path_goes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[b]*.png"
    rubbish, link = [temporary_name(path) for _ in range(2)], temporary_name(path)
    rubbish[0].mkdir()
    (rubbish[0] / "file").touch()
    rubbish[1].touch()
    link.symlink_to(tmp_path / "mine.tmp")
    others = [path, tmp_path / "mine.tmp", temporary_name(tmp_path / "ab.png"), path.with_name(f"{path.name}.old.tmp")]
    for other in others:
        other.touch()
    remove_left_beside(path)
    assert {*tmp_path.iterdir()} == {*others, link}
    remove_left_beside(tmp_path / "nowhere" / "file")


@pytest.mark.parametrize("folder", [False, True])
def test_what_somebody_is_writing_stays(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "output"
    with appearing(path, folder=folder) as first:
        with appearing(path, folder=folder) as second:
            remove_left_beside(path)
            assert {*tmp_path.iterdir()} == {first, second}
            (second / "file" if folder else second).write_text("second")
        assert {*tmp_path.iterdir()} == {path, first}
        assert (path / "file" if folder else path).read_text() == "second"
        if folder:
            (path / "file").unlink()
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("folder", [False, True])
def test_what_was_being_written_when_it_was_killed_goes(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "output"
    program = (
        "import os, signal, pathlib, sys\nfrom pcdata.dataset.files import appearing\n"
        f"with appearing(pathlib.Path(sys.argv[1]), folder={folder}):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert len([*tmp_path.iterdir()]) == 1
    with appearing(path, folder=folder) as temporary:
        assert [*tmp_path.iterdir()] == [temporary]


def test_an_error_names_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "output"
    for temporary, name, named in [
        (tmp_path / "t", None, path),
        (tmp_path / "t", tmp_path / "t", path),
        (tmp_path / "t", tmp_path / "t" / "a" / "b", path / "a" / "b"),
        (tmp_path / "t", tmp_path / "other", tmp_path / "other"),
        (None, tmp_path / "other", tmp_path / "other"),
    ]:
        with pytest.raises(OSError, match="No space") as raised, naming(path, temporary):
            raise OSError(errno.ENOSPC, "No space left on device", name and str(name))
        assert raised.value.filename == str(named)


def test_temporary_folders_of_killed_processes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (left := temporary_name(tmp_path / "pcdata")).mkdir()
    with temporary_folder() as first, temporary_folder() as second:
        assert {*tmp_path.iterdir()} == {first, second}
        assert first.stat().st_mode & 0o777 == 0o700
    assert not [*tmp_path.iterdir()]
    assert not left.exists()


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_taken_for_left_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    """One process removes what another has just made: before it opens it, before it locks it, or after."""
    made: list[Path] = []
    make = Path.mkdir if folder else Path.touch

    def taken_away(self: Path, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        made.append(self)
        if len(made) == 1:
            self.rmdir() if folder else self.unlink()
        elif len(made) == 2:
            descriptor = os.open(self, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            stack.callback(os.close, descriptor)

    monkeypatch.setattr(Path, make.__name__, taken_away)
    with ExitStack() as stack, appearing(tmp_path / "out", folder=folder) as temporary:
        assert temporary == made[2]
