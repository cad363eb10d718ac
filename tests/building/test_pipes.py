"""What can be read only once is read once: the build reads its copy twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcdata.building.build import build
from pcdata.building.dry_run import dry_run
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.errors import OptionError
from tests.building.corpora import options, write_jsonl

LINES = b"".join(b'{"text": "x = %d"}\n' % number for number in range(20_000))  # more than a pipe holds


@contextmanager
def pipe(path: Path, data: bytes) -> Iterator[Path]:
    """A named pipe that somebody writes into."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    yield path
    writer.join()


def texts(folder: Path) -> list[bytes]:
    split = Dataset(folder).split("train")
    return [split.document(number).raw.tobytes() for number in range(split.n_documents)]


def test_a_named_pipe_is_read_as_a_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "of a file"}\n')
    with pipe(tmp_path / "p.jsonl", LINES) as named, pipe(tmp_path / "notes.txt", b"a note") as other:
        build(options([named, tmp_path / "b.jsonl", other], tmp_path / "shards", val_fraction=0.0), Reporter())
    found = texts(tmp_path / "shards")
    assert found == [*(b"x = %d" % number for number in range(20_000)), b"of a file", b"a note"]
    assert Dataset(tmp_path / "shards").manifest.options["inputs"] == [
        "input-0-p.jsonl",
        "b.jsonl",
        "input-2-notes.txt",
    ]
    assert not (tmp_path / "shards" / ".build").exists()


def test_a_substituted_command_is_jsonl_as_standard_input_is(tmp_path: Path) -> None:
    """Whatever number the shell gives it: the same bytes."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x = 1"}, {"text": "y = 2"}])
    for output, before in (("one", ""), ("two", "exec 9< /dev/null;")):
        command = f"{before} {sys.executable} -m pcdata.cli build <(cat a.jsonl) -o {output} --val-fraction 0 -q -j1"
        subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=True
        )
    assert texts(tmp_path / "one") == [b"x = 1", b"y = 2"]
    manifests = [(tmp_path / output / "manifest.json").read_bytes() for output in ("one", "two")]
    assert manifests[0] == manifests[1]


def test_a_pipe_is_for_a_build_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.jsonl")
    with pytest.raises(OptionError, match="standard input and pipes"):
        dry_run(options(tmp_path / "p.jsonl", tmp_path / "shards").dataset, 1, Reporter())
