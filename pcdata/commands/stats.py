"""``pcdata stats``: what a dataset holds, in numbers."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdata.commands.options import DATASET, PLOT
from pcdata.shared_options import JSON, QUIET
from pcdata.terminal import answer, say


@click.command()
@DATASET
@click.option("--measure", is_flag=True, help="Also measure whether each symbol has one meaning.")
@PLOT
@JSON
@QUIET
def stats(dataset: Path, measure: bool, plot: Path | None, as_json: bool, quiet: bool) -> None:
    """Print what a dataset holds, by split, language and view."""
    from pcdata.dataset.manifest import load_manifest
    from pcdata.inspection.stats import render
    from pcdata.inspection.stats import stats as collect
    from pcdata.plotting import check_plot

    replaced = plot is not None and check_plot(plot)
    collected = collect(load_manifest(dataset))
    text = "" if as_json else render(collected)
    if measure:
        from pcdata.dataset import Dataset
        from pcdata.inspection import symbol_statistics as figures

        collected["measured"] = figures.figures(Dataset(dataset))
        text = text if as_json else f"{text}\n\n{figures.render(collected['measured'])}"
    answer(json.dumps(collected, indent=1) if as_json else text)
    if plot is not None:
        from pcdata.dataset import Dataset
        from pcdata.inspection.distributions import plot as draw

        draw(Dataset(dataset), plot)
        if not quiet:
            say(f"{plot}: {'replaced' if replaced else 'drawn'}")
