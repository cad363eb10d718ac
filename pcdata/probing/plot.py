"""The results of a probe as one figure: stability by edit, stability against length, and locality."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from pcdata.plotting import RAW_COLOUR, colours_for, legend_below, save_figure
from pcdata.probing.edits import EDITS, INSERT
from pcdata.probing.results import Distances, Probe, lengths_text, mean_of

_INCHES: Final = (13.0, 4.2)
_GROUP: Final = 0.84
"""The share of a group's width that its bars fill."""


def plot(found: Probe, output: Path) -> None:
    """Write the figure. ``plotting.check_plot`` says beforehand whether that is possible."""
    save_figure(output, _INCHES, lambda figure: _draw(figure, found))


def _draw(figure: Any, found: Probe) -> None:
    by_edit, by_length, by_lag = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    series: list[tuple[str, str, Distances]] = [("raw bytes", RAW_COLOUR, found.raw_distances)]
    colours = colours_for([*found.compressors])
    series += [(name, colours[name], figures.distances) for name, figures in found.compressors.items()]
    _draw_distances(by_edit, series)
    _draw_lengths(by_length, found, series)
    _draw_lags(by_lag, found, colours)
    legend_below(figure, by_edit)
    figure.suptitle(f"{found.documents:,} documents of {lengths_text(*found.document_bytes)}", fontsize=9)


def _draw_distances(axes: Any, series: list[tuple[str, str, Distances]]) -> None:
    width = _GROUP / len(series)
    places = np.arange(len(EDITS))
    for number, (name, colour, distances) in enumerate(series):
        heights = [distances[edit] or 0.0 for edit in EDITS]  # an edit that changed nothing has no bar
        axes.bar(places + (number + 0.5) * width - _GROUP / 2, heights, 0.92 * width, color=colour, label=name)
    axes.set_xticks(places, [*EDITS])
    axes.set(title="how much an edit changes the symbols (lower: more stable)", ylim=(0, 1))
    axes.set_ylabel("normalised Levenshtein distance")
    axes.grid(axis="y")


def _draw_lengths(axes: Any, found: Probe, series: list[tuple[str, str, Distances]]) -> None:
    lengths = {"raw bytes": 1.0} | {name: figures.bytes_per_symbol for name, figures in found.compressors.items()}
    for name, colour, distances in series:
        mean = mean_of(distances)
        if mean is not None:
            axes.plot(lengths[name], mean, "o", color=colour, markersize=7)
            axes.annotate(name, (lengths[name], mean), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set(title="short and stable: lower right", xlim=(0, 1.15 * max(lengths.values())), ylim=(0, 1))
    axes.set(xlabel="raw bytes per symbol", ylabel="mean distance over the edits")
    axes.grid()


def _draw_lags(axes: Any, found: Probe, colours: dict[str, str]) -> None:
    """A step for each document that realigns; if some never do, the curve ends below 1."""
    documents = found.edited[INSERT]
    longest = max((lag for each in found.compressors.values() for lag in each.locality.symbols), default=0)
    for name, figures in found.compressors.items():
        pairs = zip(figures.locality.symbols, figures.locality.agreeing, strict=True)
        agreed = [0, *(symbols for symbols, agrees in pairs if agrees), longest + 1]
        shares = np.minimum(np.arange(len(agreed)), len(agreed) - 2) / max(1, documents)
        axes.step(agreed, shares, where="post", color=colours[name], linewidth=1.5)
    axes.set_xscale("symlog", linthresh=1)
    axes.set(title="how soon the symbols realign", xlim=(0, longest + 1), ylim=(-0.02, 1.02))
    axes.set(xlabel="symbols after an inserted line", ylabel="share of documents")
    axes.grid()
