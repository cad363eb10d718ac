"""Small corpora for build tests: ordinary code, and everything a file system can throw at a walk."""

from __future__ import annotations

import filecmp
import gzip
import json
import os
from pathlib import Path
from typing import Any

import zstandard

from pcdata.building.fit_artifact import FitResult, fit_artifact
from pcdata.building.options import BuildOptions
from pcdata.building.progress import Reporter
from pcdata.codecs.requests import parse_requests


def options(inputs: Path | list[Path], output: Path, *compressors: str, **rest: Any) -> BuildOptions:
    """Options that suit small corpora."""
    paths = inputs if isinstance(inputs, list) else [inputs]
    defaults: dict[str, Any] = {"val_fraction": 0.25, "shard_bytes": 20_000, "fit_bytes": 100_000, "workers": 1}
    return BuildOptions.of(paths, output, parse_requests(compressors), **{**defaults, **rest})


def fit(asked: BuildOptions) -> FitResult:
    """What ``pcdata fit`` does with these options."""
    return fit_artifact(asked.dataset, asked.output, asked.running.workers, Reporter())


def write_code(folder: Path, files: int = 40) -> None:
    """Files that look like code, of 200 to 8,000 bytes, in a few folders."""
    for number in range(files):
        lines = [
            f"def function_{number}_{line}(x):\n    return x * {line * number}\n\n" for line in range(1 + number * 4)
        ]
        path = folder / f"package{number % 3}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))


HOSTILE_CONTENTS = {
    "empty": b"",
    "one byte": b"x",
    "lone cr": b"a\rb\rc",
    "crlf": b"a\r\nb\r\n",
    "bom": b"\xef\xbb\xbfprint()\n",
    "broken utf-8": b"ok \xff\xfe \xc3( \xe2\x82 end\n",
    "line separator": "a\u2028b\u2029c".encode(),
    "emoji": "👩‍👩‍👧‍👦 x 🏴‍☠️\n".encode() * 50,
    "one letter": b"a" * 100_000,
    "one long line": bytes(range(32, 127)) * 2_000,
    "late nul": b"text " * 2_000 + b"\0" + b"tail",
}


def write_hostile(folder: Path) -> dict[bytes, bytes]:
    """A tree of hostile names and contents; returns relative path → bytes of the files that are documents."""
    names = [b"with space.py", b"\xff\xfe.py", "naïve\u2028name".encode(), b"-o", b"new\nline.txt", b"a", b"b"]
    contents = dict(enumerate(HOSTILE_CONTENTS.values()))
    expected: dict[bytes, bytes] = {}
    for number, raw in contents.items():
        name = names[number] if number < len(names) else b"sub/deep/file%d.txt" % number
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        expected[name] = raw
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "link.py").symlink_to(folder / "with space.py")
    (folder / "binary.bin").write_bytes(b"\x7fELF\0\0\0")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    os.mkfifo(folder / "pipe")
    return expected


def write_jsonl(path: Path, records: list[Any]) -> None:
    """JSON values one per line; bytes are taken as they are. Compressed if the name says so."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() + b"\n" for record in records]
    data = b"".join(lines)
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)


def assert_same_tree(left: Path, right: Path) -> None:
    """Every file of one folder is in the other, with the same bytes."""
    files = sorted(path.relative_to(left) for path in left.rglob("*") if path.is_file())
    assert files
    assert files == sorted(path.relative_to(right) for path in right.rglob("*") if path.is_file())
    _, mismatch, errors = filecmp.cmpfiles(left, right, [str(file) for file in files], shallow=False)
    assert (mismatch, errors) == ([], [])
