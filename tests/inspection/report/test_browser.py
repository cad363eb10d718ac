"""The page of ``pcdata report`` in a real browser, headless: what a person points at is what the dataset holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcdata.dataset import Dataset, Document
from pcdata.inspection.distributions import read_distributions
from pcdata.inspection.report.page import write_report
from pcdata.inspection.report.sample import sample_documents, typical
from pcdata.terminal import glyphs, safe
from tests.dataset.written import HOSTILE, Row, sample_rows, write_dataset

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")

ATTACK = b"""</script><script>window.ran = 1; alert(1)</script><img src=x onerror="window.ran = 2">
<!-- ${window.ran = 3} `x` &lt;b&gt; \xe2\x80\xa8 \xff\xfe \x00 "quoted"
"""
REST = {"insert a line": 0.5, "rename": 0.5, "re-indent": 0.4}
PROBE = {
    "documents": 7,
    "raw_distances": {"delete 10 %": 0.1, "<i>": None, **REST},
    "compressors": {
        "<b>bpe": {
            "bytes_per_symbol": 3.5,
            "distances": {"delete 10 %": 0.4, "<i>": None, **REST},
            "locality": {"median": 2.0},
            "units": {"colliding": 0.25},
            "vocabulary": {"used": 5_000, "symbols": 65_536},
        }
    },
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("browser") / "</title>&amp;"
    folder.mkdir(parents=True)
    rows = [*sample_rows(), Row(b"<b>attack</b>.html", ATTACK, "<u>HTML"), Row(b"last", b"x = 1\n" * 40)]
    write_dataset(folder, rows)
    return Dataset(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{option}" for option in QUIET])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, dataset: Dataset, tmp_path: Path) -> Iterator[Any]:
    """The report, open. Whatever is complained of, asked for or popped up fails the test."""
    path = tmp_path / "report.html"
    write_report(dataset, path, 1_000, 6_000, 0, PROBE)
    unwanted: list[str] = []
    page = browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme="light")
    page.on("console", lambda message: unwanted.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: unwanted.append(f"error: {error}"))
    page.on("dialog", lambda dialog: unwanted.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: unwanted.append(f"request: {request.url}"))
    page.goto(path.as_uri())
    assert unwanted.pop(0) == f"request: {path.as_uri()}"
    yield page
    assert page.evaluate("window.ran") is None
    page.close()
    assert unwanted == []


def opened_on(dataset: Dataset) -> Document:
    documents = sample_documents(dataset, 1_000, 0)
    return documents[typical(documents, read_distributions(dataset).raw_bytes)]


def unit_of(document: Document, view: str, unit: int) -> tuple[int, int, list[int]]:
    """First and end byte, and the symbols."""
    points = document.alignment(view)
    begin, first = (int(points.raw_ends[unit - 1]), int(points.symbol_ends[unit - 1])) if unit else (0, 0)
    symbols = document.symbols(view)[first : int(points.symbol_ends[unit])]
    return begin, int(points.raw_ends[unit]), symbols.tolist()


def test_every_unit_of_every_document_is_shown_as_it_is(page: Any, dataset: Dataset) -> None:
    views = [view.name for view in dataset.manifest.views]
    documents = sample_documents(dataset, 1_000, 0)
    hostile = 0
    for place, document in enumerate(documents):
        page.select_option("#document", str(place))
        raw = document.raw.tobytes()
        hostile += raw in HOSTILE.values() or raw == ATTACK
        for view in views:
            page.click(f"#views button[data-view='{view}']")
            shown: list[str] = page.evaluate(
                "state.spans.map((spans) => spans.map((span) => span.textContent).join(''))"
            )
            assert len(shown) == len(document.alignment(view).raw_ends)
            for unit, text in enumerate(shown):
                begin, end, _ = unit_of(document, view, unit)
                assert text == "".join("".join(glyphs(line)) for line in lines_of(raw[begin:end]))
    assert hostile == len([raw for raw in HOSTILE.values() if raw]) + 1


def lines_of(raw: bytes) -> list[bytes]:
    parts = raw.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def described(page: Any) -> dict[str, str]:
    """What the panel says of the unit pointed at."""
    names = page.locator("#unit dt").all_text_contents()
    return dict(zip(names, page.locator("#unit dd").all_text_contents(), strict=True)) | {
        "title": page.locator("#unit h3").first.text_content()
    }


def assert_describes(page: Any, document: Document, view: str, unit: int) -> None:
    begin, end, symbols = unit_of(document, view, unit)
    said = described(page)
    assert said["title"] == f"{view}: unit {unit + 1} of {len(document.alignment(view).raw_ends)}"
    assert said["bytes"].startswith(
        f"{begin} … {end} ({end - begin}): {document.raw[begin:end][:64].tobytes().hex(' ')}"
    )
    shown = " ".join(map(str, symbols[:64]))
    assert said["symbol" if len(symbols) == 1 else "symbols"].startswith(shown)
    if len(symbols) == 1:
        assert said["model's id"] == str(symbols[0] + document.split.dataset.manifest.view(view).first_id)


def test_pointing_at_a_unit_says_what_it_is_and_what_other_views_make_of_it(page: Any, dataset: Dataset) -> None:
    document = opened_on(dataset)
    for view, other in (("bpe", "zstd"), ("zstd", "bpe")):
        page.click(f"#views button[data-view='{view}']")
        page.locator(".u[data-unit='1']").first.hover()
        assert_describes(page, document, view, 1)
        begin, end, _ = unit_of(document, view, 1)
        points = document.alignment(other)
        sharing = [
            unit
            for unit in range(len(points.raw_ends))
            if unit_of(document, other, unit)[0] < end and unit_of(document, other, unit)[1] > begin
        ]
        block = page.locator(".other", has_text=f"{other}:")
        assert f" in {len(sharing)} unit" in block.locator("h3").text_content()
        assert block.locator(".chip").count() == min(len(sharing), 40)
        marked = "".join(block.locator("mark").all_text_contents())
        assert marked == "".join(glyphs(document.raw[begin:end].tobytes()))[: len(marked)]
        assert marked


def test_the_keyboard_goes_everywhere(page: Any, dataset: Dataset) -> None:
    document = opened_on(dataset)
    page.focus("#code")
    keys = [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("Home", 0), ("ArrowLeft", 0)]
    for key, unit in keys:
        page.keyboard.press(key)
        assert_describes(page, document, "bpe", unit)
        assert page.get_attribute("#code", "aria-activedescendant") == f"unit-{unit}"
    page.keyboard.press("End")
    last = len(document.alignment("bpe").raw_ends) - 1
    assert_describes(page, document, "bpe", last)
    page.keyboard.press("ArrowUp")
    above = page.evaluate("state.unit")
    assert 0 < above < last
    page.keyboard.press("ArrowDown")
    assert page.evaluate("state.unit") > above
    begin, _, _ = unit_of(document, "bpe", page.evaluate("state.unit"))
    page.keyboard.press("2")  # zstd, at the same byte
    first, end, _ = unit_of(document, "zstd", page.evaluate("state.unit"))
    assert first <= begin < end


def test_the_place_is_kept_through_a_view_of_long_units(page: Any, dataset: Dataset) -> None:
    documents = sample_documents(dataset, 1_000, 0)
    longest = max(range(len(documents)), key=lambda place: len(documents[place].alignment("zstd").raw_ends))
    page.select_option("#document", str(longest))
    page.focus("#code")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    begin, _, _ = unit_of(documents[longest], "bpe", 7)
    page.keyboard.press("2")
    assert unit_of(documents[longest], "zstd", page.evaluate("state.unit"))[0] < begin, "a unit that begins before it"
    page.keyboard.press("1")
    assert page.evaluate("state.unit") == 7


def test_what_a_unit_of_each_view_is_like_is_said(page: Any, dataset: Dataset) -> None:
    alone, after = "can be read without the units in front of it.", "may need units in front of it to be read."
    seen = set()
    for view in dataset.manifest.views:
        page.click(f"#views button[data-view='{view.name}']")
        said = page.locator("#view-facts").text_content()
        assert said.startswith(f"A unit of {view.name} is ")
        assert said.endswith(alone if view.units_independent else after)
        assert ("written as one symbol," in said) == (view.max_unit_symbols == 1)
        seen.add((view.units_independent, view.max_unit_symbols == 1))
    assert seen == {(True, True), (True, False), (False, False)}


def test_the_table_of_a_probe_fits_a_laptop(page: Any) -> None:
    assert page.evaluate("$('probe-table').scrollWidth <= $('probe-table').clientWidth")


def test_a_click_holds_a_unit_until_escape(page: Any) -> None:
    page.locator(".u[data-unit='3']").first.click()
    page.locator(".u[data-unit='5']").first.hover()
    assert page.evaluate("state.unit") == 3
    page.keyboard.press("Escape")
    page.locator(".u[data-unit='6']").first.hover()
    assert page.evaluate("state.unit") == 6


def test_a_language_leaves_its_documents(page: Any, dataset: Dataset) -> None:
    documents = sample_documents(dataset, 1_000, 0)
    assert page.locator("#document option").count() == len(documents)
    opened = opened_on(dataset)
    assert opened != documents[0]
    assert page.locator("#document option:checked").text_content().startswith(safe(opened.path))
    page.select_option("#language", label="<u>HTML")
    assert page.locator("#document option").all_text_contents() == [f"<b>attack</b>.html ({len(ATTACK)} B)"]
    assert page.locator("#document-facts").text_content().startswith("<b>attack</b>.html · <u>HTML")


def test_the_figures_are_there_and_hostile_names_are_text(page: Any, dataset: Dataset) -> None:
    assert page.title() == f"{safe(dataset.folder.name)}: dataset report"
    for view in dataset.manifest.views:
        assert page.locator("#views-table tr", has_text=view.name).count() == 1
    for language in dataset.manifest.base.languages:
        assert page.locator("#languages-table td:first-child", has_text=language).count() >= 1
    assert page.locator("#unit-lengths .card").count() == len(dataset.manifest.views)
    assert page.locator("#rejects-table tbody tr").count() == len(dataset.manifest.rejects)
    probed = page.locator("#probe-table tbody tr").nth(1).locator("td").all_text_contents()
    assert probed == [
        "<b>bpe",
        "3.50",
        "0.400",
        "–",
        "0.500",
        "0.500",
        "0.400",
        "0.450",
        "2",
        "25.0 %",
        "5,000 of 65,536",
    ]


@pytest.mark.parametrize("width", [360, 760, 1300])
def test_no_width_scrolls_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light(page: Any) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.click("#theme")
    dark = background()
    assert dark != light
    page.click("#theme")
    assert background() == light
    page.evaluate("delete document.documentElement.dataset.theme")
    page.emulate_media(color_scheme="dark")
    assert background() == dark
