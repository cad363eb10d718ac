"""show: finds the document that is meant, shows all of its bytes and units, and lets nothing reach the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.commands.show import wants_colour
from pcdata.dataset import Alignment, Dataset, DatasetError
from pcdata.errors import OptionError
from pcdata.inspection.find import find_document, overall_number
from pcdata.inspection.show import lines_of, show
from pcdata.terminal import display_width, glyphs, safe
from pcdata.text import size
from tests.dataset.written import HOSTILE, Row, sample_rows, write_dataset

COLOURS = re.compile(r"\x1b\[(36|4|0)m")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("written")
    write_dataset(folder)
    return Dataset(folder)


@pytest.mark.parametrize(
    ("selector", "path"),
    [
        ("0", b"lib/file00.py"),
        ("train:3", b"empty.txt"),
        ("29", b"lib/file19.py"),
        ("val:0", b"lib/file19.py"),
        ("lib/file07.py", b"lib/file07.py"),
        ("file07.py", b"lib/file07.py"),
        ("caf\udce9.txt", b"caf\xe9.txt"),
        (r"caf\xe9.txt", b"caf\xe9.txt"),
        ("big.txt", b"big.txt"),
    ],
)
def test_finds_by_number_and_path(dataset: Dataset, selector: str, path: bytes) -> None:
    assert find_document(dataset, selector).path == path


def test_finds_every_document_by_its_number_and_id(dataset: Dataset) -> None:
    for number in range(30):
        document = find_document(dataset, str(number))
        assert overall_number(document) == number
        for digits in (15, 16, 32):
            assert find_document(dataset, document.doc_id[:digits]).path == document.path


def test_a_path_of_a_cut_document_is_its_first_part(dataset: Dataset) -> None:
    assert find_document(dataset, "big.txt").part_start_bytes == 0
    assert "a part: begins at byte 11 of its file" in show(dataset, "6")


@pytest.mark.parametrize("selector", ["30", "val:1", "nowhere.py", "", "dead", "ile00.py", "-1", "\x1b[2J"])
def test_nothing_found_is_one_safe_sentence(dataset: Dataset, selector: str) -> None:
    with pytest.raises(OptionError, match=r"no document has .* give a number 0 … 29") as caught:
        show(dataset, selector)
    assert str(caught.value).isprintable()


def test_many_found_lists_their_numbers(tmp_path: Path) -> None:
    rows = [Row(b"%d/__init__.py" % n, b"%d" % n) for n in range(9)]
    write_dataset(tmp_path, rows, views=())
    with pytest.raises(OptionError, match=r"9 documents match __init__.py: 0 0/__init__.py, 1 .*, …; give one"):
        show(Dataset(tmp_path), "__init__.py")
    assert "8 (val:0)" in show(Dataset(tmp_path), "8/__init__.py")


def test_unknown_view_and_empty_span_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="no view 'bqe'"):
        show(dataset, "0", ["bqe"])
    for span in [(5, 5), (-1, 5), (10, 3)]:
        with pytest.raises(OptionError, match="is not a range"):
            show(dataset, "0", span=span)
    with pytest.raises(OptionError, match=r"--bytes begins at \d+, past the document's 426 bytes"):
        show(dataset, "0", span=(426, 500))


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("width", [20, 60, 100, 200])
def test_hostile_documents_are_safe_to_print(dataset: Dataset, width: int, colour: bool) -> None:
    for number in range(30):
        text = show(dataset, str(number), width=width, colour=colour)
        assert COLOURS.sub("", text).replace("\n", "").isprintable()
        if width >= 60:
            body = text.split("line  ", 1)[-1]
            assert max(display_width(COLOURS.sub("", line)) for line in body.splitlines()) <= width
    assert set(HOSTILE) <= {row.path for row in sample_rows()}


def test_every_unit_has_its_mark_and_every_symbol_is_counted(dataset: Dataset) -> None:
    for view in ("bpe", "zstd", "gzip"):
        for number in range(29):
            document = dataset.split("train").document(number)
            lines = show(dataset, str(number), [view], width=200).splitlines()[8:]
            counts = [int(line[7:12]) for line in lines if line[7:12].strip()]
            assert sum(counts) == len(document.symbols(view))
            assert sum(line.count("│") for line in lines) == len(document.alignment(view).raw_ends)


def test_views_stand_side_by_side_where_there_is_room(dataset: Dataset) -> None:
    def rows_with(text: str, *views: str) -> int:
        return sum(all(view in line for view in views) for line in text.splitlines() if line.startswith("line"))

    assert rows_with(show(dataset, "0", width=100), "bpe", "zstd", "gzip") == 1
    narrow = show(dataset, "0", width=72)
    assert (rows_with(narrow, "bpe", "zstd"), rows_with(narrow, "gzip")) == (1, 1)


def test_a_long_document_says_how_to_see_more(tmp_path: Path) -> None:
    raw = b"".join(b"line %d\n" % n for n in range(1000))
    write_dataset(tmp_path, [Row(b"long", raw), Row(b"short", b"x\ny")], views=["gzip"])
    opened = Dataset(tmp_path)
    first = show(opened, "0")
    assert f"bytes 0 … 2,000 of {len(raw):,}; see others with --bytes 2000:4000" in first
    assert "line 999" not in first
    part = show(opened, "0", span=(len(raw) - 18, len(raw) + 50))
    assert "line 998" in part
    assert "  999 " in part
    assert "--bytes 0:2000" in part
    assert "--bytes" not in show(opened, "1")


def test_ten_megabytes_on_one_line_are_shown_at_once(tmp_path: Path) -> None:
    write_dataset(tmp_path, [Row(b"a", b"x" * 10_000_000), Row(b"b", b"")], views=["gzip"])
    assert "bytes 0 … 2,000 of 10,000,000" in show(Dataset(tmp_path), "0")


def test_a_dataset_without_views_shows_the_text(tmp_path: Path) -> None:
    write_dataset(tmp_path, [Row(b"a", b"one\ntwo"), Row(b"b", b"")], views=())
    text = show(Dataset(tmp_path), "0")
    assert "the dataset has no views" in text
    assert "one↵" in text


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.integers(1, 9))), st.data())
def test_runs_are_the_bytes_cut_at_lines_and_units(units: list[tuple[bytes, int]], data: st.DataObject) -> None:
    raw = b"".join(unit.replace(b"a", b"\n") for unit, _ in units)
    symbol_ends = np.cumsum([symbols for _, symbols in units], dtype=np.int64)
    points = Alignment(symbol_ends, np.cumsum([len(unit) for unit, _ in units], dtype=np.int64))
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    lines = lines_of(np.frombuffer(raw, np.uint8), points, start, end)
    in_lines = [b"".join(run.raw for run in line) for line in lines]
    assert in_lines == re.findall(rb"[^\n]*\n|[^\n]+", raw[start:end])
    assert all(run.raw for line in lines for run in line)
    inside = [s for (_, s), e in zip(units, points.raw_ends.tolist(), strict=True) if start < e <= end]
    assert [run.ended_symbols for line in lines for run in line if run.ended_symbols] == inside


@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_become_printable_glyphs(raw: bytes) -> None:
    text = "".join(glyphs(raw))
    assert text.isprintable()
    assert (not raw) == (not text)
    assert not raw or display_width(glyphs(raw)[0]) > 0


def test_glyphs_of_each_kind() -> None:
    assert safe(b"a\tb\n\0\x1b\x7f\xff") == "a→   b↵␀␛␡\\xff"
    assert safe("\u202e\u200b\x85\u2028\U000e0001é") == "\\u202e\\u200b\\u0085\\u2028\\U000e0001é"
    assert glyphs("\u0301e\u0301".encode()) == ["\\u0301", "e", "\u0301"]
    assert [display_width(text) for text in ("abc", "漢字", "e\u0301", "🙂")] == [3, 4, 1, 2]
    assert [size(n) for n in (0, 999, 1000, 999_949, 1_000_000, 31_500_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "31.5 MB",
    ]


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "", "TERM": "xterm"}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_a_terminal_gets_colours_unless_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert wants_colour() is coloured
