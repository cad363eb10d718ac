"""Finding the input: complete, in one order, whatever lies in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pcdata.errors import InputError, OptionError
from pcdata.inputs.options import InputOptions
from pcdata.inputs.records import EntryReader, scan_entry
from pcdata.inputs.sources import Entry, Skipped, find_entries, kind_of
from tests.building.corpora import write_hostile


def _found(found_options: InputOptions, output: Path | None = None) -> tuple[list[bytes], dict[bytes, str]]:
    entries, skipped = [], {}
    for entry in find_entries(found_options, output):
        if isinstance(entry, Entry):
            entries.append(entry.relative)
        else:
            assert isinstance(entry, Skipped)
            skipped[entry.relative] = entry.reason
    return entries, skipped


def test_every_file_is_found_once_or_skipped_with_a_reason(tmp_path: Path) -> None:
    expected = write_hostile(tmp_path / "in")
    entries, skipped = _found(InputOptions((tmp_path / "in",)))
    assert sorted(entries) == sorted([*expected, b"binary.bin"])
    assert skipped == {
        b".git/": "excluded",
        b"link.py": "symlink",
        b"sub/loop": "symlink",
        b"pipe": "not a file",
    }


def test_order_is_by_bytes_not_by_the_file_system(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "a/z.py", "a/b/c.py", "Z.py", "a-b.py"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    entries, _ = _found(InputOptions((tmp_path / "in",)))
    assert entries == [b"Z.py", b"a/b/c.py", b"a/z.py", b"a-b.py", b"a.py", b"b.py"]


def test_globs_match_names_or_whole_paths(tmp_path: Path) -> None:
    for name in ("keep.py", "drop.txt", "vendor/x.py", "lib/gen/y.py", "lib/z.py"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    entries, skipped = _found(InputOptions((tmp_path / "in",), include=("*.py",), exclude=("vendor", "lib/gen/*")))
    assert entries == [b"keep.py", b"lib/z.py"]
    assert skipped == {b"drop.txt": "excluded", b"vendor/": "excluded", b"lib/gen/y.py": "excluded"}


def test_output_inside_the_input_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "old.py").write_text("y")
    assert _found(InputOptions((tmp_path,)), tmp_path / "shards") == ([b"a.py"], {})


def test_a_path_longer_than_the_system_can_name(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("a_folder_with_a_name", dir_fd=folder)
        deeper = os.open("a_folder_with_a_name", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    entries, skipped = _found(InputOptions((tmp_path,)))
    assert entries == []
    assert list(skipped.values()) == ["unreadable"]


def test_inputs_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="does not exist"):
        InputOptions((tmp_path / "nowhere",))
    with pytest.raises(OptionError, match="given twice"):
        InputOptions((tmp_path, tmp_path / "."))


@pytest.mark.parametrize("kind", ["a.py", "a.jsonl", "a.parquet", "a.tar"])
@pytest.mark.parametrize("what", ["link", "fifo", "folder"])
def test_what_took_the_place_of_a_file_is_neither_followed_nor_waited_for(kind: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "private").write_text('{"text": "secret"}\n')
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / kind).write_text("x")
    asked = InputOptions((tmp_path / "in",))
    (entry,) = find_entries(asked)
    assert isinstance(entry, Entry)
    entry = entry._replace(kind=kind_of(entry.relative, "auto"))
    (tmp_path / "in" / kind).unlink()
    if what == "link":
        (tmp_path / "in" / kind).symlink_to(tmp_path / "private")
    elif what == "fifo":
        os.mkfifo(tmp_path / "in" / kind)
    else:
        (tmp_path / "in" / kind).mkdir()
    with pytest.raises(InputError, match="input changed while it was read"):
        [*scan_entry(asked, entry)]
    with pytest.raises(InputError, match="input changed while it was read"):
        EntryReader(asked, entry)
    (tmp_path / "in" / kind).rmdir() if what == "folder" else (tmp_path / "in" / kind).unlink()
    (tmp_path / "in" / kind).symlink_to(tmp_path / "private")
    named = InputOptions((tmp_path / "in" / kind,))
    (entry,) = find_entries(named)
    EntryReader(named, entry).close()  # type: ignore[arg-type]
