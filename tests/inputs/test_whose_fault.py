"""What is wrong with a file is a reject; what is wrong with the machine ends the call, and costs no document."""

from __future__ import annotations

import builtins
import errno
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.cli import main
from pcdata.errors import InputError
from pcdata.inputs import records, sources
from pcdata.inputs.whose_fault import Unreadable, reading
from tests.building.corpora import assert_same_tree, options, write_code
from tests.building.formats import WRITERS

OF_THE_MACHINE = {
    "EMFILE": "ulimit -n",
    "ENFILE": "ulimit -n",
    "EACCES": "--exclude",
    "EPERM": "--exclude",
    "EIO": "check the disk",
    "ENOSPC": "make room",
    "ENOMEM": "fix that",
}


@pytest.mark.parametrize("name", OF_THE_MACHINE)
def test_what_the_system_refuses_is_no_fault_of_the_file(name: str) -> None:
    with pytest.raises(InputError, match=rf"^a/b\.py: .*{OF_THE_MACHINE[name]}.* run the same command again$"):  # noqa: SIM117
        with reading("a/b.py"):
            raise OSError(getattr(errno, name), "no")


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowMemoryError("malloc of size 9 failed")])
def test_nor_is_too_little_memory(error: Exception) -> None:
    with pytest.raises(InputError, match=r"^a\.parquet: out of memory; use fewer --workers"), reading("a.parquet"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        pa.ArrowInvalid("no Parquet"),
        OSError("Unexpected end of stream"),
        EOFError("cut"),
        OSError(errno.ENAMETOOLONG, ""),
    ],
)
def test_what_is_found_in_a_file_is_its_own_fault(error: Exception) -> None:
    with pytest.raises(Unreadable), reading("a.parquet"):
        raise error


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ESTALE])
def test_a_file_that_is_gone_is_a_changed_input(number: int) -> None:
    with pytest.raises(InputError, match=r"input changed while it was read: a\.py"), reading("a.py"):
        raise OSError(number, "gone")


def refusing(monkeypatch: pytest.MonkeyPatch, module: Any, victim: bytes, at: int) -> None:
    """Let the system have no descriptor left when ``victim`` is opened for the ``at``-th time."""
    opened = 0

    def refused(path: Any, *rest: Any, **more: Any) -> Any:
        nonlocal opened
        if isinstance(path, bytes) and path.endswith(victim):
            opened += 1
            if opened == at:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return builtins.open(path, *rest, **more)  # noqa: PTH123 (stands for it)

    monkeypatch.setattr(module, "open", refused, raising=False)


@pytest.mark.parametrize("name", ["code", "data.jsonl", "data.parquet", "data.tar.gz", "file.arrow"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_build_that_the_machine_stops_goes_on(
    name: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the scan, at the fitting sample, at the writing; what was scanned is not lost, and nothing is left out."""
    if name == "code":
        write_code(tmp_path / name, files=5)
    else:
        WRITERS[name](tmp_path / name)
    asked = options(tmp_path / name, tmp_path / "shards", "zstd", val_fraction=0.0)
    with monkeypatch.context() as patch:
        refusing(patch, records, b"module2.py" if name == "code" else name.encode(), at)
        with pytest.raises(InputError, match="Too many open files; raise the limit"):
            build(asked, Reporter())
    build(asked, Reporter())
    build(options(tmp_path / name, tmp_path / "whole", "zstd", val_fraction=0.0), Reporter())
    assert_same_tree(tmp_path / "whole", tmp_path / "shards")
    assert (tmp_path / "shards" / "rejects.jsonl").read_bytes() == b""


def test_footers_that_cannot_be_opened_are_no_rejects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS["data.parquet"](tmp_path / "data.parquet")
    monkeypatch.setattr(sources, "RANGE_BYTES", 1_000)
    refusing(monkeypatch, sources, b"data.parquet", 1)
    done = CliRunner().invoke(main, ["build", str(tmp_path / "data.parquet"), "-o", str(tmp_path / "shards"), "-j1"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'data.parquet'}: Too many open files;")


def test_a_folder_that_cannot_be_listed_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_code(tmp_path / "in", files=5)
    scandir = os.scandir

    def refused(folder: Any) -> Any:
        if os.fsencode(folder).endswith(b"package1"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(InputError, match=r"package1: Permission denied; let this user read it, or leave it out"):
        build(options(tmp_path / "in", tmp_path / "shards"), Reporter())
