"""Results → table, figures and page."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from tools.study import figures, page, shell
from tools.study.corpus import stability
from tools.study.table import raw_curve, rows
from tools.study.trial import Bench, Result


def report(bench: Bench, to_page: Path | None, *, as_json: bool) -> str:
    """Write everything beside the results (and the tables into a page); returns what to print."""
    study, folder = bench.study, bench.results.parent
    results: dict[str, list[Result]] = defaultdict(list)
    for trial in study.trials():
        if found := bench.result(trial):
            results[trial.arm.name].append(found)
    table = rows(study, results)
    stable = stability(bench.datasets)
    values = {"rows": [asdict(row) for row in table], "stability": stable}
    made_by = ("trial", "command", "torch", "processor", "commit")
    trials = [{name: getattr(each, name) for name in made_by} for each in chain(*results.values())]
    (folder / "table.json").write_text(json.dumps({**values, "trials": trials}, indent=1) + "\n", encoding="utf-8")
    tables = {name: make(table) for name, make in page.TABLES.items()}
    tables["stability"] = page.stability_table(table, stable)
    curves = {size: raw_curve(study, results, size) for size in study.sizes}
    figures.draw(table, curves, stable, folder / "exchange.png")
    _draw_curves(bench, results)
    if to_page is not None:
        page.write_tables(to_page, tables)
    return json.dumps(values, indent=1) if as_json else tables["arms"]


def _draw_curves(bench: Bench, results: Mapping[str, Sequence[Result]]) -> None:
    """The runs of the measured arms, as ``pctrain plot`` draws them."""
    arms, place = bench.study.arms, bench.datasets.folder
    runs = [place / "runs" / found[0].trial for name, found in results.items() if arms[name].measured]
    if runs := [run for run in runs if run.exists()]:
        shell.run("pctrain", "plot", *runs, "-o", bench.results.parent / "curves.png")
