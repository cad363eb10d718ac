"""Reading documents: every JSONL fault has its reason and place, and long documents are cut without loss."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.errors import BuildError, InputError
from pcdata.inputs.options import InputOptions
from pcdata.inputs.records import Piece, Reject, cut, scan_entry
from pcdata.inputs.sources import find_entries
from tests.building.corpora import options, write_jsonl

FAULTY = [
    {"text": "first\n", "path": "src/a.py", "language": "Python"},
    b'{"text": "\\ud800"}\n',
    {"body": "no text key"},
    {"text": 7},
    b"[1, 2]\n",
    b"not json\n",
    b'{"text": "\xff"}\n',
    b"\n",
    {"text": "second", "source": "repo-x"},
    b'{"text": "cut in ha',
]
REASONS = {
    2: "lone surrogate",
    3: "no text key",
    4: "text is not a string",
    5: "no object",
    6: "bad JSON",
    7: "not UTF-8",
    10: "cut line",
}


def _scan(path: Path, tmp_path: Path) -> tuple[list[Piece], list[Reject]]:
    asked = InputOptions((path,))
    found = [item for entry in find_entries(asked) for item in scan_entry(asked, entry)]  # type: ignore[arg-type]
    return [item for item in found if isinstance(item, Piece)], [item for item in found if isinstance(item, Reject)]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_every_faulty_line_is_a_reject_with_its_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    write_jsonl(path, FAULTY)
    pieces, rejects = _scan(path, tmp_path)
    assert [piece.raw for piece in pieces] == [b"first\n", b"second"]
    assert {reject.position: reject.reason for reject in rejects} == REASONS
    assert {reject.file for reject in rejects} == {path.name}


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_metadata_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    write_jsonl(path, FAULTY)
    build(options(path, tmp_path / "out", val_fraction=0.0), Reporter())
    split = Dataset(tmp_path / "out").split("train")
    found = [
        (document.path, document.lang, document.source, document.raw.tobytes())
        for document in map(split.document, range(split.n_documents))
    ]
    assert found == [
        (b"src/a.py", "Python", path.name, b"first\n"),
        (path.name.encode() + b":9", "unknown", "repo-x", b"second"),
    ]


def test_a_truncated_gzip_keeps_what_came_before_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    lines = b"".join(b'{"text": "%d"}\n' % (number * 7919) for number in range(300_000))
    path.write_bytes(gzip.compress(lines)[:-1_000])
    pieces, rejects = _scan(path, tmp_path)
    assert len(pieces) > 1_000
    assert [reject.reason for reject in rejects] == ["unreadable"]
    assert rejects[0].position == len(pieces) + 1


def test_strict_makes_a_reject_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write_jsonl(path, FAULTY)
    with pytest.raises(InputError, match=r"data\.jsonl line 2: lone surrogate"):
        build(options(path, tmp_path / "out", strict=True, val_fraction=0.0), Reporter())
    with pytest.raises(BuildError, match="with other val_fraction"):
        build(options(path, tmp_path / "out", val_fraction=0.5), Reporter())
    with pytest.raises(InputError, match="lone surrogate"):  # what was refused has changed nothing
        build(options(path, tmp_path / "out", strict=True, val_fraction=0.0), Reporter())
    build(options(path, tmp_path / "out", val_fraction=0.0), Reporter())
    build(options(path, tmp_path / "never strict", val_fraction=0.0), Reporter())
    ours, others = (Dataset(tmp_path / name).manifest for name in ("out", "never strict"))
    assert ours == others, "as the message says, it can be built without"


@given(
    text=st.text(alphabet="ab\n é😀", max_size=300),
    junk=st.binary(max_size=60),
    limit=st.integers(16, 64),
)
def test_parts_are_the_document(text: str, junk: bytes, limit: int) -> None:
    raw = text.encode() + junk
    parts = []
    rest = raw
    while len(rest) > limit:
        end = cut(rest[: limit + 1], limit)
        assert 0 < end <= limit
        parts.append(rest[:end])
        rest = rest[end:]
    assert b"".join([*parts, rest]) == raw
    if not junk:
        for part in parts:
            part.decode()  # no character is cut
            if b"\n" in part[limit // 2 :]:
                assert part.endswith(b"\n")


def test_a_long_file_is_cut_as_it_streams(tmp_path: Path) -> None:
    raw = b"".join(b"line %d\n" % number for number in range(5_000))
    (tmp_path / "long.txt").write_bytes(raw)
    asked = InputOptions((tmp_path / "long.txt",), max_document_bytes=1_000)
    (entry,) = find_entries(asked)
    pieces = [piece for piece in scan_entry(asked, entry) if isinstance(piece, Piece)]  # type: ignore[arg-type]
    assert b"".join(piece.raw for piece in pieces) == raw
    assert [piece.start for piece in pieces] == [sum(len(p.raw) for p in pieces[:i]) for i in range(len(pieces))]
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(pieces) > 40
