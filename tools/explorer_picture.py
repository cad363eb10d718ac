"""Take the picture of ``pcdata report`` in the README with a headless Chromium.

    python -m tools.explorer_picture report.html docs/explorer.png [--dark]

Needs playwright (extra ``dev``) and a Chromium on the path.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools.benching import parser_of

WIDTH, HEIGHT = 1240, 900
CODE = "def "
"""The document is scrolled to the first line that contains this, and the mouse is over the unit after it."""


def main() -> None:
    parser = parser_of(__doc__, rounds=0)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--document", default="", help="part of its path; else the one that the page opens on")
    parser.add_argument("--dark", action="store_true")
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark" if arguments.dark else "light"
        )
        page.goto(arguments.page.resolve().as_uri())
        if arguments.document:
            found = page.locator("#document option", has_text=arguments.document).first.get_attribute("value")
            page.select_option("#document", found)
        row = page.locator(".row", has_text=CODE).first
        row.evaluate("row => row.parentElement.scrollTop = row.offsetTop - row.parentElement.offsetTop - 40")
        row.locator(".u").nth(1).click()
        page.screenshot(path=arguments.picture)
        browser.close()
    print(f"{arguments.picture}: {arguments.picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
