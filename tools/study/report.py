"""Results → table, figure and page. Needs only the results, so those of another machine work, too."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tools.study import figures, page
from tools.study.plan import Study, StudyError
from tools.study.table import raw_curve, rows
from tools.study.trial import Result, config_of, path_of

_TABLE: Final = "table.json"


def report(
    study: Study,
    results: Sequence[Result],
    stability: Mapping[str, float],
    folder: Path,
    to_page: Path | None,
    *,
    as_json: bool,
) -> str:
    """Write table and figure into the folder, and the tables into a page; returns the text to print.

    ``results`` are of the study's trials, in their order; ``stability`` is by view.
    """
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result.arm].append(result)
    table = rows(study, by_arm)
    values = {"rows": [asdict(row) for row in table], "stability": stability}
    made_by = ("trial", "command", "torch", "processor", "commit")
    trials = [{name: getattr(each, name) for name in made_by} for each in results]
    (folder / _TABLE).write_text(json.dumps({**values, "trials": trials}, indent=1) + "\n", encoding="utf-8")
    tables = {name: make(table) for name, make in page.TABLES.items()}
    tables["stability"] = page.stability_table(table, stability)
    curves = {size: raw_curve(study, by_arm, size) for size in study.sizes}
    figures.draw(table, curves, stability, folder / "exchange.png")
    if to_page is not None:
        page.write_tables(to_page, tables)
    return json.dumps(values, indent=1) if as_json else tables["arms"]


def recorded_results(study: Study, folder: Path) -> list[Result]:
    """Results of the study's trials in a folder, for any data and machine. A result with other settings or defaults
    belongs to no trial. Raises ``StudyError`` if there are none."""
    places = [(trial, path_of(folder, trial)) for trial in study.trials()]
    read = [(trial, Result.read(path)) for trial, path in places if path.exists()]
    found = [result for trial, result in read if result.config == config_of(study, trial, result.spent.steps)]
    if not found:
        raise StudyError(f"{folder} has no result of this study")
    return found


def recorded_stability(folder: Path) -> dict[str, float]:
    """As in the last report of this folder; empty without one."""
    path = folder / _TABLE
    if not path.exists():
        return {}
    stability: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["stability"]
    return stability
