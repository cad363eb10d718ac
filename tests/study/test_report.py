"""A report needs the results alone, and makes the same of them each time."""

from __future__ import annotations

import json
from pathlib import Path

from tests.study.test_plan import PLAIN, written
from tests.study.test_study import study
from tests.study.test_table import results


def test_results_alone_are_enough_for_tables_and_figure(tmp_path: Path) -> None:
    written(tmp_path, PLAIN)
    folder = tmp_path / "study"
    (folder / "results").mkdir(parents=True)
    for each in (result for found in results().values() for result in found if result.seed == 0):
        (folder / "results" / f"{each.trial}.json").write_text(json.dumps(each.to_dict()))
    (folder / "table.json").write_text('{"stability": {"bpe": 0.25}}')
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in ("arms", "stability")))

    first = study(tmp_path, "--only-report", "--page", str(page))
    assert first.stdout.splitlines()[2].startswith("| raw |  | 1 | 3.0000 | 1.00e+06 |")
    assert first.stdout.strip() in page.read_text()
    assert "| bpe | bpe | 0.250 | +0.400 |" in page.read_text()
    made = {name: (folder / name).read_bytes() for name in ("table.json", "exchange.png")}
    assert made["exchange.png"].startswith(b"\x89PNG")
    assert [row["arm"] for row in json.loads(made["table.json"])["rows"]] == ["raw", "bpe", "bpe-placebo"]

    again = study(tmp_path, "--only-report", "--page", str(page))
    assert again.stdout == first.stdout
    assert {name: (folder / name).read_bytes() for name in made} == made
    assert {path.name for path in folder.iterdir()} == {"results", *made}, "nothing was run"


def test_without_a_result_there_is_nothing_to_report(tmp_path: Path) -> None:
    written(tmp_path, PLAIN)
    done = study(tmp_path, "--only-report", code=1)
    assert done.stdout == ""
    assert done.stderr == f"error: {tmp_path / 'study' / 'results'} has no result of this study\n"
