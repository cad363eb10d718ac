"""``pcdata report``: what the page holds is what the dataset holds, and nothing in it can get out of its place."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pcdata.cli import main
from pcdata.dataset import Dataset
from pcdata.inspection.find import find_document
from pcdata.inspection.report.page import assembled, report_data
from pcdata.inspection.report.sample import document_data, packed, sample_documents, typical
from tests.dataset.written import VIEWS, Row, sample_rows, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("report") / "a dataset"
    folder.mkdir()
    more = [Row(b"c%d.c" % number, b"int x = %d;\n" % number * number, "C") for number in range(1, 9)]
    write_dataset(folder, [*sample_rows(), *more], VIEWS)
    return Dataset(folder)


def unpacked(values: list[Any]) -> NDArray[np.unsignedinteger]:
    width, text = values
    return np.frombuffer(base64.b64decode(text), f"<u{width}")


@given(st.lists(st.integers(0, 2**32 - 1)), st.sampled_from([0xFF, 0xFFFF, 0xFFFFFFFF]))
def test_packing_keeps_every_number(values: list[int], most: int) -> None:
    some = np.array(values, np.int64) & most
    assert unpacked(packed(some)).tolist() == some.tolist()


@pytest.mark.parametrize("most_bytes", [1, 7, 100, 1_000_000])
def test_units_are_those_of_the_reader_as_far_as_the_document_is_shown(dataset: Dataset, most_bytes: int) -> None:
    views = [view.name for view in dataset.manifest.views]
    cut = 0
    for document in sample_documents(dataset, 1_000, seed=0):
        data = document_data(document, views, most_bytes)
        raw = document.raw[:most_bytes]
        assert unpacked(data["raw"]).tolist() == raw.tolist()
        for name in views:
            view = data["views"][name]
            ends = np.cumsum(unpacked(view["unit_bytes"]))
            symbol_ends = np.cumsum(unpacked(view["unit_symbols"]))
            points = document.alignment(name)
            assert ends.tolist() == points.raw_ends[: len(ends)].tolist()
            assert symbol_ends.tolist() == points.symbol_ends[: len(ends)].tolist()
            assert unpacked(view["symbols"]).tolist() == document.symbols(name)[: symbol_ends[-1]].tolist()
            assert ends[-1] >= len(raw) > (ends[-2] if len(ends) > 1 else 0)  # all that is shown, and no unit more
            assert (view["all_symbols"], view["all_units"]) == (len(document.symbols(name)), len(points.raw_ends))
            cut += len(ends) < len(points.raw_ends)
    assert (cut > 0) == (most_bytes <= 100)


def test_a_sample_is_drawn_by_its_seed_and_shows_every_language(dataset: Dataset) -> None:
    languages = {language for language, amount in dataset.manifest.base.languages.items() if amount.raw_bytes}
    assert len(languages) > 1
    drawn = [[document.doc_id for document in sample_documents(dataset, 6, seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    for seed in range(5):
        chosen = sample_documents(dataset, len(languages), seed)
        assert {document.lang for document in chosen} == languages
        assert all(len(document.raw) for document in chosen)
    everything = sample_documents(dataset, 1_000, 0)
    splits = [dataset.split(name) for name in dataset.splits]
    documents = [split.document(number) for split in splits for number in range(split.n_documents)]
    assert [one.doc_id for one in everything] == [one.doc_id for one in documents if len(one.raw)]


def test_a_page_opens_on_a_document_of_median_length_in_the_largest_language(tmp_path: Path) -> None:
    lengths = {"C": [90, 1, 2, 80, 3], "Python": [5, 40, 41], "Ada": [100], "JSON": [500, 501]}
    rows = [Row(b"%d" % size, b"x" * size, lang) for lang, sizes in lengths.items() for size in sizes]
    write_dataset(tmp_path, rows)
    explorer = report_data(Dataset(tmp_path), 1_000, 50, 0)["explorer"]
    opened = explorer["documents"][explorer["opens"]]
    assert (opened["lang"], opened["bytes"]) == ("C", 3)
    documents = sample_documents(Dataset(tmp_path), 1_000, 0)
    assert typical(documents, {"Python": 1}) == 6
    assert typical(documents[:2], {}) == 0  # of 90 bytes and of 1, in order, the longer
    assert typical([], {"C": 1}) == 0


class Scripts(HTMLParser):
    """The tags of a page, and what stands in its scripts, as a browser parses them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"]:
            self.scripts[-1] += data


NASTY = ["</script>", "<!--", "<script>alert(1)</script>", "]]>", "/*page.css*/", "__DATA__", "\u2028", "\0", "\\u003c"]


@given(st.text() | st.lists(st.sampled_from(NASTY)).map("".join))
def test_no_text_gets_out_of_its_place(text: str) -> None:
    data = {"name": text, text: 1}
    parser, plain = Scripts(), Scripts()
    parser.feed(assembled(data))
    plain.feed(assembled({}))
    assert parser.tags == plain.tags
    assert json.loads(parser.scripts[0]) == data
    assert parser.scripts[1:] == plain.scripts[1:]


def test_the_command_writes_the_same_page_twice(dataset: Dataset, tmp_path: Path) -> None:
    pages = []
    for name in ("a page.html", "b.html"):
        done = CliRunner().invoke(main, ["report", str(dataset.folder), "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    parser = Scripts()
    parser.feed(pages[0].decode())
    data = json.loads(parser.scripts[0])
    assert data["name"] == "a dataset"
    assert data["probe"] is None
    assert sum(data["lengths"]["histogram"]) == data["stats"]["documents"] == data["lengths"]["documents_seen"]
    assert b"http" not in pages[0].replace(
        b'http-equiv="Content-Security-Policy"', b""
    )  # asks for nothing from outside
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a page.html", "b.html"]


def test_the_page_of_a_large_dataset_stays_small(tmp_path: Path) -> None:
    rows = [Row(b"%d.py" % number, b"x = %d\n" % number * 40, f"language {number % 300}") for number in range(10_000)]
    write_dataset(tmp_path, rows, ("bit",), block_documents=500, shard_documents=5_000)
    data = report_data(Dataset(tmp_path), 40, 6_000, 0)
    assert data["stats"]["documents"] == 10_000
    assert len(data["explorer"]["documents"]) == 40
    assert len(assembled(data)) < 3_000_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "page.txt"], "must end in .html"),
        (["-o", "nowhere/page.html"], "create it first"),
        (["-o", "page.html", "--documents", "0"], "--documents must be 1 … 10000, got 0"),
        (["-o", "page.html", "--document-bytes", "2000000"], "--document-bytes must be 1 … 100000, got 2000000"),
        (["-o", "page.html", "--probe", "probe.json"], "is no probe"),
        (["-o", "page.html", "--probe", "list.json"], "is no probe"),
        (["-o", "page.html", "--probe", "half.json"], "is no probe"),
    ],
)
def test_what_cannot_be_written_says_so(
    dataset: Dataset, arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("probe.json").write_text('{"compressors": {}}')
    Path("list.json").write_text('{"compressors": [], "raw_distances": {}, "documents": 1}')
    Path("half.json").write_text('{"compressors": {"bpe": {}}, "raw_distances": {}, "documents": 1}')
    done = CliRunner().invoke(main, ["report", str(dataset.folder), *arguments])
    assert done.exit_code == 1
    assert says in done.output
    assert done.output.count("\n") == 1
    assert not Path("page.html").exists()


def test_a_dataset_of_nothing_to_show(tmp_path: Path) -> None:
    write_dataset(tmp_path, [Row(b"empty", b"")], ())
    data = report_data(Dataset(tmp_path), 40, 6_000, 0)
    assert data["explorer"]["documents"] == []
    assert find_document(Dataset(tmp_path), "0").path == b"empty"
