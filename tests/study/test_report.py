"""A report needs the results alone, and makes the same of them each time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pctrain.config import DataConfig
from tests.study.plans import PLAIN, written
from tests.study.results import results
from tests.study.running import study
from tools.study.plan import Trial, read_study
from tools.study.trial import Result, config_of


def write_results(folder: Path) -> list[Result]:
    """Of the first seeds, as if each had been run as ``study.toml`` says."""
    plan = read_study(written(folder, PLAIN))
    (folder / "study" / "results").mkdir(parents=True)
    made = []
    for each in (result for found in results().values() for result in found if result.seed == 0):
        config = config_of(plan, Trial(plan.arms[each.arm], each.seed), each.spent.steps)
        made.append(dataclasses.replace(each, config=config))
        write(folder, made[-1])
    return made


def write(folder: Path, result: Result) -> None:
    (folder / "study" / "results" / f"{result.trial}.json").write_text(json.dumps(dataclasses.asdict(result)))


def test_results_alone_are_enough_for_tables_and_figure(tmp_path: Path) -> None:
    write_results(tmp_path)
    folder = tmp_path / "study"
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


def test_a_result_that_was_made_otherwise_is_in_no_table(tmp_path: Path) -> None:
    """With rows in another order, though no command says so; and as the first study wrote them, without settings."""
    raw, bpe, placebo = write_results(tmp_path)
    data = {**bpe.config["data"], "shuffle_rows": 0}
    write(tmp_path, dataclasses.replace(bpe, config={**bpe.config, "data": data}))
    write(tmp_path, dataclasses.replace(placebo, config={}))
    done = study(tmp_path, "--only-report", "--json")
    assert bpe.config["data"]["shuffle_rows"] == DataConfig().shuffle_rows != 0
    assert [row["arm"] for row in json.loads(done.stdout)["rows"]] == [raw.arm]


def test_without_a_result_there_is_nothing_to_report(tmp_path: Path) -> None:
    written(tmp_path, PLAIN)
    done = study(tmp_path, "--only-report", code=1)
    assert done.stdout == ""
    assert done.stderr == f"error: {tmp_path / 'study' / 'results'} has no result of this study\n"
