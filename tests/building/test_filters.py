"""Filters take what they say and count the rest; splits keep together what belongs together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pcdata.building import scan
from pcdata.building.build import build
from pcdata.building.filters import Measured
from pcdata.building.progress import Reporter
from pcdata.building.scan import list_inputs
from pcdata.building.workspace import Workspace
from pcdata.cli import main
from pcdata.dataset import Dataset
from pcdata.dataset.block import Metadata
from pcdata.errors import InputError, OptionError, UnbuildableError
from pcdata.inputs.records import Piece
from tests.building.corpora import options, write_code, write_jsonl

RECORDS = [
    {
        "text": f"line {n}\n" * (1 + n % 30) + "w" * (n % 50),
        "path": f"team{n % 7}/project{n % 3}/file{n}.{'py' if n % 2 else 'c'}",
        "repo": f"repo{n % 5}",
    }
    for n in range(400)
]


def made(tmp_path: Path, **more: Any) -> tuple[Dataset, list[dict[str, Any]]]:
    write_jsonl(tmp_path / "data.jsonl", RECORDS)
    build(options(tmp_path / "data.jsonl", tmp_path / "shards", **{"val_fraction": 0.0, **more}), Reporter())
    lines = (tmp_path / "shards" / "rejects.jsonl").read_text().splitlines()
    return Dataset(tmp_path / "shards"), [json.loads(line) for line in lines]


def of(dataset: Dataset, split: str) -> list[Any]:
    documents = dataset.split(split)
    return [documents.document(number) for number in range(documents.n_documents)]


def longest(text: str) -> int:
    return max(map(len, text.encode().split(b"\n")))


FILTERS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "min": ({"min_bytes": 60}, lambda text, lang: len(text) >= 60, "too short"),
    "max": ({"max_bytes": 90}, lambda text, lang: len(text) <= 90, "too long"),
    "line": ({"max_line_bytes": 25}, lambda text, lang: longest(text) <= 25, "long line"),
    "line in parts": (
        {"max_line_bytes": 25, "max_document_bytes": 16},
        lambda text, lang: longest(text) <= 25,
        "long line",
    ),
    "lang": ({"langs": ("python",)}, lambda text, lang: lang == "Python", "language"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_takes_what_it_says_and_counts_the_rest(name: str, tmp_path: Path) -> None:
    more, takes, reason = FILTERS[name]
    dataset, rejects = made(tmp_path, **more)
    wanted = [r for r in RECORDS if takes(r["text"], "Python" if r["path"].endswith("py") else "C")]
    assert 0 < len(wanted) < len(RECORDS)
    assert "".join(d.raw.tobytes().decode() for d in of(dataset, "train")) == "".join(r["text"] for r in wanted)
    assert {reject["reason"] for reject in rejects} == {reason}
    assert len(rejects) == len(RECORDS) - len(wanted) == dataset.manifest.rejects[reason]
    assert [reject["position"] for reject in rejects] == [n for n, r in enumerate(RECORDS, 1) if r not in wanted]


@given(raw=st.binary(max_size=200).map(lambda raw: raw.replace(b"\1", b"\n")), cuts=st.lists(st.integers(0, 200)))
def test_the_longest_line_does_not_depend_on_the_pieces(raw: bytes, cuts: list[int]) -> None:
    measured = Measured(lines=True)
    ends = sorted({*(cut for cut in cuts if cut < len(raw)), len(raw)})
    start = 0
    for end in ends:
        measured.add(Piece(0, 0, start, raw[start:end], end == len(raw), Metadata(b"", "", "", ())))
        start = end
    assert (measured.size, measured.longest_line) == (len(raw), max(map(len, raw.split(b"\n"))))


def test_a_sample_is_drawn_by_content_and_a_larger_one_holds_it(tmp_path: Path) -> None:
    taken = []
    for share in (0.1, 0.5):
        folder = tmp_path / str(share)
        folder.mkdir()
        dataset, rejects = made(folder, sample=share)
        assert {reject["reason"] for reject in rejects} == {"not sampled"}
        taken.append({document.doc_id for document in of(dataset, "train")})
    assert taken[0] < taken[1]
    assert 20 <= len(taken[0]) <= 60
    assert 160 <= len(taken[1]) <= 240


def test_a_limit_takes_the_first(tmp_path: Path) -> None:
    dataset, rejects = made(tmp_path, limit=37)
    assert [d.raw.tobytes().decode() for d in of(dataset, "train")] == [record["text"] for record in RECORDS[:37]]
    assert dataset.manifest.rejects == {"beyond the limit": len(RECORDS) - 37}
    assert rejects[0]["position"] == 38


def test_a_limit_counts_documents_and_not_their_parts(tmp_path: Path) -> None:
    long = [{"text": f"document {n}\n" * 40} for n in range(20)]
    write_jsonl(tmp_path / "data.jsonl", long)
    command = ["build", str(tmp_path / "data.jsonl"), "--limit", "7", "-j1", "--val-fraction", "0", "-o"]
    done = CliRunner().invoke(main, [*command, str(tmp_path / "shards"), "--max-document-bytes", "200"])
    parts = of(Dataset(tmp_path / "shards"), "train")
    assert "".join(part.raw.tobytes().decode() for part in parts) == "".join(record["text"] for record in long[:7])
    assert f"7 documents in {len(parts)} parts, " in done.stderr
    assert "whole: 7 documents, " in CliRunner().invoke(main, [*command, str(tmp_path / "whole")]).stderr


def test_duplicates_may_stay(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", [{"text": "same"}] * 3 + [{"text": "other"}])
    asked = options(tmp_path / "data.jsonl", tmp_path / "shards", val_fraction=0.0, dedup="off")
    build(asked, Reporter())
    assert [d.raw.tobytes() for d in of(Dataset(tmp_path / "shards"), "train")] == [b"same"] * 3 + [b"other"]


@pytest.mark.parametrize(
    ("val_by", "key"),
    [
        ("source", lambda document: document.source),
        ("path-prefix", lambda document: document.path.split(b"/")[0]),
        ("path-prefix:2", lambda document: document.path.split(b"/")[:2]),
    ],
)
def test_what_belongs_together_stays_together(val_by: str, key: Any, tmp_path: Path) -> None:
    dataset, _ = made(tmp_path, val_by=val_by, val_fraction=0.4)
    train, val = ({str(key(document)) for document in of(dataset, split)} for split in ("train", "val"))
    assert train
    assert val
    assert not train & val


def test_a_list_says_what_is_val(tmp_path: Path) -> None:
    listed = [record["path"] for record in RECORDS[10:30]]
    (tmp_path / "val.txt").write_text("\n".join(listed) + "\n")
    dataset, _ = made(tmp_path, val_list=tmp_path / "val.txt")
    assert [document.path.decode() for document in of(dataset, "val")] == listed
    (tmp_path / "other.txt").write_text("nothing\n")
    with pytest.raises(InputError, match=r"no document has a path that .*other\.txt lists"):
        build(options(tmp_path / "data.jsonl", tmp_path / "o", val_list=tmp_path / "other.txt"), Reporter())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sample": 0.0}, "--sample"),
        ({"min_bytes": -1}, "--min-bytes"),
        ({"dedup": "fuzzy"}, "--dedup"),
        ({"val_by": "owner"}, "--val-by"),
        ({"val_by": "source:2"}, "--val-by"),
        ({"val_by": "path-prefix:0"}, "--val-by"),
        ({"val_list": Path("nowhere")}, "--val-list"),
    ],
)
def test_filters_that_cannot_be(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    with pytest.raises(OptionError, match=message):
        options(tmp_path, tmp_path / "out", **more)


def test_a_misspelt_language_ends_no_build_that_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier versions took any; what they have done of a build is resumed."""
    write_code(tmp_path / "code", 9)
    asked = options(tmp_path / "code", tmp_path / "out", langs=("python", "pyton"))
    workspace = Workspace(asked.output)
    with workspace.locked():
        with pytest.raises(UnbuildableError, match="--lang pyton is not a language"):
            list_inputs(asked.dataset, workspace)
        with monkeypatch.context() as earlier:
            earlier.setattr(scan, "misspelt", lambda langs: None)
            assert list_inputs(asked.dataset, workspace) == 1
        assert list_inputs(asked.dataset, workspace) == 1
