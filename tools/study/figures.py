"""The figure of a study: results of arms compared with raw bytes alone, the worth of a compressed symbol, and transfer
against stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcdata.plotting import COLOURS, RAW_COLOUR, save_figure
from tools.study.exchange import RawCurve
from tools.study.plan import PLACEBO
from tools.study.table import Row

_BLUE, _RED, *_ = COLOURS


def draw(rows: Sequence[Row], curves: Mapping[str, RawCurve], stability: Mapping[str, float], output: Path) -> None:
    """Three panels side by side; one without data says so."""

    def panels(figure: Any) -> None:
        reached, worth, transferred = figure.subplots(1, 3)
        size = next(iter(curves))
        _draw_reached(reached, [row for row in rows if row.size == size], curves[size])
        _draw_worth(worth, rows)
        _draw_transfer(transferred, rows, stability)

    save_figure(output, (15, 5), panels)


def _draw_reached(axes: Any, rows: Sequence[Row], curve: RawCurve) -> None:
    """An arm to the left of the line got more out of its raw symbols than raw bytes alone give; the distance is what
    its compressed symbols were worth. The arms with the most seeds are named."""
    axes.plot(curve.raw_symbols, curve.bits_per_byte, color="black", marker="o", markersize=4, label="raw bytes alone")
    proxies = [row for row in rows if row.view]
    arms = [row for row in proxies if not row.arm.endswith(PLACEBO)]
    placebos = [row for row in proxies if row not in arms]
    for chosen, colour, label in ((arms, _RED, "through a proxy"), (placebos, RAW_COLOUR, "placebo")):
        symbols, bits = [row.spent.raw_symbols for row in chosen], [row.bits_per_byte for row in chosen]
        axes.scatter(symbols, bits, s=16, color=colour, label=label, zorder=3)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda symbols, _: f"{symbols / 1e6:.2g} M")
    axes.set(xlabel="raw symbols shown", ylabel="raw bits per byte, val")
    axes.legend()
    most_seeds = max((row.seeds for row in arms), default=0)
    named = [row for row in arms if row.seeds == most_seeds]
    _name_in_corner(axes, [(row.spent.raw_symbols, row.bits_per_byte, row.arm) for row in named])


def _draw_worth(axes: Any, rows: Sequence[Row]) -> None:
    known = [row for row in rows if row.exchange_rate is not None and row.price is not None]
    if not known:
        _say_empty(axes, "no arm has a rate yet")
        return
    known.sort(key=lambda row: (row.size, row.exchange_rate or 0.0))
    heights = range(len(known))
    axes.barh(heights, [row.exchange_rate for row in known], color=_BLUE, height=0.6, label="worth")
    axes.scatter([row.price for row in known], heights, marker="|", s=120, color=_RED, label="price", zorder=3)
    axes.set_yticks(heights, [f"{row.arm} ({row.size})" for row in known], fontsize=7)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("raw symbols per compressed symbol")
    axes.legend()


def _draw_transfer(axes: Any, rows: Sequence[Row], stability: Mapping[str, float]) -> None:
    placed = [(stability[row.view], row.transfer, row.arm) for row in rows if row.view in stability and row.transfer]
    if not placed:
        _say_empty(axes, "no arm has its placebo yet")
        return
    for distance, transfer, arm in placed:
        axes.scatter(distance, transfer, s=18, color=_BLUE)
        axes.annotate(arm, (distance, transfer), xytext=(5, -2), textcoords="offset points", fontsize=7)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="mean distance after an edit (pcdata probe)", ylabel="transfer: placebo − arm, bits per byte")


def _name_in_corner(axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Names, one above the other, in the empty lower left corner, each with a line to its point."""
    for line, (x, y, name) in enumerate(sorted(points, key=lambda point: point[1])):
        axes.annotate(
            name,
            (x, y),
            xytext=(0.03, 0.03 + 0.04 * line),
            textcoords="axes fraction",
            fontsize=7,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": RAW_COLOUR, "relpos": (1, 0.5)},
        )


def _say_empty(axes: Any, why: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)
