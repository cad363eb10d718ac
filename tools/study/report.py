"""Results → table, figure and page. Needs only the results, so those of another machine work, too."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tools.study import figures, page
from tools.study.comparison import comparisons
from tools.study.plan import StudyError
from tools.study.table import raw_curve, rows
from tools.study.trial import Recorded, Result

_TABLE: Final = "table.json"


def report(
    recorded: Recorded, stability: Mapping[str, float], folder: Path, to_page: Path | None, *, as_json: bool
) -> str:
    """Write table and figure into the folder, and the tables into a page; returns the text to print.

    ``stability`` is by view. Raises ``StudyError`` if no trial has a result.
    """
    study, results = recorded.study, recorded.all_results()
    if not results:
        raise StudyError(f"{recorded.results} has no result of this study")
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result.arm].append(result)
    table, compared, tuned = rows(study, by_arm), comparisons(study, by_arm), recorded.rates.table()
    values = {"rows": [asdict(row) for row in table], "stability": stability}
    if tuned:
        values |= {"compared": [asdict(one) for one in compared], "tuning": tuned}
    made_by = ("trial", "command", "torch", "processor", "commit")
    trials = [{name: getattr(each, name) for name in made_by} for each in results]
    (folder / _TABLE).write_text(json.dumps({**values, "trials": trials}, indent=1) + "\n", encoding="utf-8")
    tables = {name: make(table) for name, make in page.TABLES.items()}
    tables["stability"] = page.stability_table(table, stability)
    tables["methods"] = page.methods_table(compared, results[0].baselines)
    tables["tuning"] = page.tuning_table(tuned)
    curves = {size: raw_curve(study, by_arm, size) for size in study.sizes}
    figures.draw(table, curves, stability, folder / "exchange.png")
    if to_page is not None:
        page.write_tables(to_page, tables)
    return json.dumps(values, indent=1) if as_json else tables["methods" if tuned else "arms"]


def recorded_stability(folder: Path) -> dict[str, float]:
    """As in the last report of this folder; empty without one."""
    path = folder / _TABLE
    if not path.exists():
        return {}
    stability: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["stability"]
    return stability
