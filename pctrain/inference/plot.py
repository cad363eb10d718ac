"""Runs → a figure: raw bits per byte against cost, above the schedule.

Everything is read from ``metrics.jsonl``: lines of kind ``val`` are the points, those of kind ``train`` say how much
had been shown by then, those of kind ``start`` which settings applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.json_files import parse_json
from pcdata.output_files import FIGURE, check_output
from pcdata.plotting import as_label, colours_for, save_figure
from pctrain.config import RunConfig
from pctrain.data.schedule import BAGS, Schedule
from pctrain.errors import ConfigError, PctrainError
from pctrain.methods.flops import flops_of_line
from pctrain.training.metrics import whole_lines
from pctrain.training.optim import learning_rate
from pctrain.training.run_folder import METRICS, read_settings

# L lines of kind train, and 0 before the first; P points of kind val

_MOST_DRAWN: Final = 1e30
_MOST_STEPS: Final = 1 << 53
_LONGEST_REASON: Final = 200

_AXES: Final = {
    "steps": "optimizer steps",
    "symbols": "symbols shown",
    "raw_bytes": "raw bytes shown or encoded",
    "flops": "training flops",
}


_INCHES: Final = (7.2, 3.3)
"""The text width of a two-column page, so that letters are printed at their size here."""
_STYLE: Final[Any] = {
    "font.size": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


@dataclass(frozen=True)
class Curve:
    """One run."""

    name: str
    settings: list[tuple[int, RunConfig]]
    """Each with the first step that it applied to."""
    costs: dict[str, NDArray[np.float64]]
    """By axis, what had been spent by each line of kind train. [L]"""
    val_steps_P: NDArray[np.float64]
    bits_per_byte_P: NDArray[np.float64]

    def along(self, axis: str, steps: Any) -> NDArray[np.float64]:
        """What had been spent by some steps, interpolated between lines."""
        spent: NDArray[np.float64] = np.interp(steps, self.costs["steps"], self.costs[axis])
        return spent

    def schedule(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """At some hundred steps: the step, the share to be shown compressed, the learning rate over its maximum."""
        last = int(self.costs["steps"][-1])
        steps = np.unique(np.linspace(0, max(0, last - 1), 400).astype(int))
        shares, rates = [], []
        for step in steps.tolist():
            config = _in_force(self.settings, step)
            phase = Schedule.of(config).at(step)
            shares.append({"raw": 0.0, "compressed": 1.0, BAGS: 1.0}.get(phase.mode, phase.share))
            rates.append(learning_rate(step, config.train.steps, config.optim) / config.optim.lr)
        return steps.astype(float), np.array(shares), np.array(rates)


def read_curve(run: Path, name: str) -> Curve:
    """Raises ``CheckpointError`` if ``run`` is not a run, ``PctrainError`` if it has no measurement yet or its log is
    damaged."""
    read_settings(run)
    path = run / METRICS
    try:
        curve = _curve(name, [parse_json(line) for line in whole_lines(path)])
    except OSError as error:
        raise PctrainError(f"{path} cannot be read: {error.strerror}") from error
    except (ConfigError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PctrainError(f"{path} is damaged ({repr(error)[:_LONGEST_REASON]}); leave this run out") from error
    if curve is None:
        raise PctrainError(f"{path} has no measurement on val yet; let it train to eval.every steps")
    return curve


def _curve(name: str, lines: Sequence[Any]) -> Curve | None:
    """None before the first measurement."""
    starts = [line for line in lines if line["kind"] == "start"]
    settings = [(line["step"], RunConfig.from_dict(line["config"])) for line in starts]
    points = {line["step"]: line["raw_bits_per_byte"] for line in lines if line["kind"] == "val"}
    trained = [line for line in lines if line["kind"] == "train"]
    if not points or not trained:
        return None
    # All steps of a line were trained with one configuration: a resume starts a new line.
    n_ids = starts[0]["n_ids"]
    flops = [flops_of_line(_in_force(settings, line["step"] - 1), n_ids, line) for line in trained]
    spent = {
        "steps": [line["steps"] for line in trained],
        "symbols": [sum(line["data"]["symbols_by_view"].values()) for line in trained],
        "raw_bytes": [line["data"]["raw_bytes"] + line["data"]["compressed_bytes"] for line in trained],
        "flops": flops,
    }
    costs = {axis: np.cumsum([0.0, *values], dtype=np.float64) for axis, values in spent.items()}
    curve = Curve(name, settings, costs, np.array([*points], float), np.array([*points.values()], float))
    drawn = np.concatenate([*costs.values(), curve.val_steps_P, curve.bits_per_byte_P])
    if not (np.abs(drawn) < _MOST_DRAWN).all() or costs["steps"][-1] > _MOST_STEPS:  # nor is any of them nan
        raise ValueError("a number in it cannot be drawn")
    curve.schedule()
    return curve


def _in_force(settings: Sequence[tuple[int, RunConfig]], step: int) -> RunConfig:
    return [config for begin, config in settings if begin <= step][-1]


def plot(runs: Sequence[Path], output: Path) -> bool:
    """Write the figure as PNG, PDF or SVG, by its name. Returns whether it replaced one. Raises ``PcdataError``."""
    replaced = check_output("-o", output, FIGURE)
    curves = [read_curve(run, name) for run, name in zip(runs, _names(runs), strict=True)]
    try:
        save_figure(output, _INCHES, lambda figure: _draw(figure, curves), _STYLE, dpi=300)
    except OSError as error:
        raise PctrainError(f"{output} cannot be written: {error.strerror}; name another file with -o") from error
    return replaced


def _draw(figure: Any, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes = figure.subplots(2, len(_AXES), sharex="col", sharey="row", height_ratios=[3, 1])
    colours = colours_for([curve.name for curve in curves])
    for column, (axis, spent) in enumerate(_AXES.items()):
        above, below = axes[:, column]
        for curve in curves:
            _draw_curve(above, below, curve, axis, colours[curve.name])
        below.set_xlabel(spent)
        below.xaxis.set_major_formatter(EngFormatter(sep=""))
        below.xaxis.set_major_locator(MaxNLocator(4))
        below.set_ylim(-0.05, 1.05)
        below.set_xlim(left=0)
        above.grid(axis="y")
    axes[0, 0].set_ylabel("raw bits per byte, val")
    axes[1, 0].set_ylabel("schedule")
    figure.align_ylabels(axes[:, 0])
    (share,) = axes[1, 0].plot([], [], color="0.3", linewidth=1, label="compressed share")
    (rate,) = axes[1, 0].plot([], [], color="0.3", linewidth=0.9, linestyle=":", label="learning rate / peak")
    of_runs, _ = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles=of_runs, loc="outside upper center", ncols=min(4, len(of_runs)))
    figure.legend(handles=[share, rate], loc="outside lower center", ncols=2)


def _draw_curve(above: Any, below: Any, curve: Curve, axis: str, colour: str) -> None:
    few = len(curve.val_steps_P) <= 40
    above.plot(
        curve.along(axis, curve.val_steps_P),
        curve.bits_per_byte_P,
        color=colour,
        label=as_label(curve.name),
        marker="o" if few else None,
        markersize=2.2,
        linewidth=1.1,
    )
    steps, shares, rates = curve.schedule()
    below.plot(curve.along(axis, steps), shares, color=colour, linewidth=1)
    below.plot(curve.along(axis, steps), rates, color=colour, linewidth=0.9, linestyle=":")


def _names(runs: Sequence[Path]) -> list[str]:
    """The folders' names, with as many parent folders as it takes to tell them apart."""
    parts = [run.resolve().parts for run in runs]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(each[-depth:]) for each in parts]
        if len({*names}) == len(names):
            return names
    return [str(run) for run in runs]
