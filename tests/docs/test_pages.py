"""Every command and every line of Python in ``docs/`` runs as written, in an empty folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import BLOCK, PAGES, ROOT, run_page, script_of, warm

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TEXTS = [*PAGES, *ROOT.glob("*.md"), *(ROOT / "docs" / "study").rglob("*.md")]


def name_of(page: Path) -> str:
    return page.stem


def place_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with warm(tmp_path_factory.mktemp("warm")) as address:
        yield address


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_runs_from_top_to_bottom(page: Path, server: Path, tmp_path: Path) -> None:
    script = script_of(page)
    assert "pcdata" in script, "the page runs nothing"
    done = run_page(page, tmp_path, None if "pip install" in script else server)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", TEXTS, ids=place_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_a_block_that_fails_fails_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for block in ("```sh\nfalse\ntrue\n```", "```python\nassert 1 == 2\n```\n\n```sh\ntrue\n```"):
        page.write_text(f"# Page\n\n{block}\n")
        assert BLOCK.findall(page.read_text())
        assert run_page(page, tmp_path).returncode != 0
    page.write_text("```text\nfalse\n```\n")
    assert run_page(page, tmp_path).returncode == 0
