"""A report needs the results alone, and makes the same of them each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.study.test_plan import PLAIN, written
from tests.study.test_table import results

ROOT = Path(__file__).parents[2]


def only_report(plan: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.study", plan, "-o", folder, "--only-report", *arguments]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)


def test_results_alone_are_enough_for_tables_and_figure(tmp_path: Path) -> None:
    plan, folder = written(tmp_path, PLAIN), tmp_path / "from elsewhere"
    (folder / "results").mkdir(parents=True)
    for each in (result for found in results().values() for result in found if result.seed == 0):
        (folder / "results" / f"{each.trial}.json").write_text(json.dumps(each.to_dict()))
    (folder / "table.json").write_text('{"stability": {"bpe": 0.25}}')
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in ("arms", "stability")))

    first = only_report(plan, folder, "--page", str(page))
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[2].startswith("| raw |  | 1 | 3.0000 | 1.00e+06 |")
    assert first.stdout.strip() in page.read_text()
    assert "| bpe | bpe | 0.250 | +0.400 |" in page.read_text()
    made = {name: (folder / name).read_bytes() for name in ("table.json", "exchange.png")}
    assert made["exchange.png"].startswith(b"\x89PNG")
    assert [row["arm"] for row in json.loads(made["table.json"])["rows"]] == ["raw", "bpe", "bpe-placebo"]

    again = only_report(plan, folder, "--page", str(page))
    assert again.stdout == first.stdout
    assert {name: (folder / name).read_bytes() for name in made} == made
    assert {path.name for path in folder.iterdir()} == {"results", *made}, "nothing was run"


def test_without_a_result_there_is_nothing_to_report(tmp_path: Path) -> None:
    done = only_report(written(tmp_path, PLAIN), tmp_path / "empty")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {tmp_path / 'empty' / 'results'} has no result of this study\n"
