"""The notebook in ``docs/`` runs from top to bottom, and what is stored in it is what its cells show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tools.notebook import run

TOUR = ROOT / "docs" / "tour.ipynb"
LINK = re.compile(r"\]\(([^)#:]+)\)")
OF_A_MACHINE = re.compile(r"/(home|root|tmp|usr|var|opt|work|Users)/|(?<!\w)[A-Z]:\\\\")


def test_it_runs_and_shows_what_is_stored(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.notebook", str(TOUR), "-o", str(tmp_path / "again.ipynb")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stored, again = (cells(path) for path in (TOUR, tmp_path / "again.ipynb"))
    assert [kinds(cell) for cell in stored] == [kinds(cell) for cell in again]
    assert all(map(kinds, stored))


def test_it_is_small_and_names_no_place_of_the_machine_that_ran_it() -> None:
    assert TOUR.stat().st_size < 200_000
    assert not OF_A_MACHINE.search(json.dumps([cell["outputs"] for cell in cells(TOUR)]))
    assert OF_A_MACHINE.search("in /home/someone/shards")
    assert "text/html" in kinds(cells(TOUR)[0])
    for link in LINK.findall(TOUR.read_text(encoding="utf-8")):
        assert (TOUR.parent / link).exists(), link


def cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[str]:
    """What sort of outputs a cell has."""
    return [kind for output in cell["outputs"] for kind in output.get("data", [output["output_type"]])]


def test_a_cell_shows_its_prints_and_its_last_value_and_an_error_ends_it() -> None:
    sources = ["a = 1\nprint(a)", "a + 1", "print(a)\na", "None", "def f():\n    return a", "f()\n", "a = f() / 0", "a"]
    notebook = {"cells": [{"cell_type": "code", "source": [source]} for source in sources]}
    with pytest.raises(ZeroDivisionError):
        run(notebook)
    shown = [cell.get("outputs") for cell in notebook["cells"]]
    texts = [outputs and [*map(text_of, outputs)] for outputs in shown]
    assert texts == [["1\n"], ["2"], ["1\n", "1"], [], [], ["1"], None, None]


def text_of(output: dict[str, Any]) -> str:
    return "".join(output.get("text") or output["data"]["text/plain"])
