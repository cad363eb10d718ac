"""Arms against raw bytes alone, seed by seed: at equal positions, and at equal flops.

What raw bytes alone reach is known at the budgets of the plain raw arms, each with a schedule of its own. Between two
budgets, bits per byte are taken to be linear in the logarithm of the cost; beyond them nothing is claimed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tools.study.plan import PLACEBO, Arm, Study
from tools.study.trial import Result, Spent

_SAME: Final = 1.005
"""Costs up to this ratio are equal: steps are whole numbers."""


@dataclass(frozen=True)
class Mean:
    """Over seeds."""

    value: float
    deviation: float | None
    """None for a single seed."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Comparison:
    """Of one arm. Differences are in bits per raw byte, between runs with the same seed; None where nothing is there to
    compare with."""

    arm: str
    what: str
    seeds: int
    bits_per_byte: Mean
    at_equal_positions: Mean | None
    """The arm minus raw bytes alone: below 0, the arm is better."""
    at_equal_flops: Mean | None
    placebo: Mean | None
    """The placebo minus the arm: above 0, the arm learnt from the order of symbols, or from where units end."""
    positions: int
    """This and the following are of the first seed."""
    flops: float
    bytes_per_parameter: float
    lr: float


def comparisons(study: Study, results: Mapping[str, Sequence[Result]]) -> list[Comparison]:
    """Of the arms that have results and are not placebos, in the study's order."""
    arms = [arm for arm in study.arms.values() if arm.name in results and not arm.is_placebo]
    return [_compared(study, arm, results) for arm in arms]


def _compared(study: Study, arm: Arm, results: Mapping[str, Sequence[Result]]) -> Comparison:
    found = results[arm.name]
    first = found[0]
    raw = [each for name in study.plain_raw(arm.size) for each in results.get(name, ())]
    placebos = {each.seed: each.bits_per_byte for each in results.get(arm.name + PLACEBO, ())}
    return Comparison(
        arm=arm.name,
        what=arm.what,
        seeds=len(found),
        bits_per_byte=Mean.of([each.bits_per_byte for each in found]),
        at_equal_positions=_difference(found, raw, lambda spent: spent.positions),
        at_equal_flops=_difference(found, raw, lambda spent: spent.flops),
        placebo=_mean(placebos[each.seed] - each.bits_per_byte for each in found if each.seed in placebos),
        positions=first.spent.positions,
        flops=first.spent.flops,
        bytes_per_parameter=first.spent.raw_bytes / first.parameters,
        lr=first.config["optim"]["lr"],
    )


def _difference(found: Sequence[Result], raw: Sequence[Result], cost: Callable[[Spent], float]) -> Mean | None:
    pairs = [(each, _bits_at(cost(each.spent), [run for run in raw if run.seed == each.seed], cost)) for each in found]
    return _mean(each.bits_per_byte - bits for each, bits in pairs if bits is not None)


def _bits_at(spent: float, raw: Sequence[Result], cost: Callable[[Spent], float]) -> float | None:
    """What raw bytes alone reach at this cost, by runs with one seed; None beyond them."""
    runs = sorted((cost(each.spent), each.bits_per_byte) for each in raw)
    if not runs or not runs[0][0] / _SAME <= spent <= runs[-1][0] * _SAME:
        return None
    costs, bits = zip(*runs, strict=True)
    return float(np.interp(np.log(spent), np.log(costs), bits))


def _mean(values: Iterable[float]) -> Mean | None:
    listed = [*values]
    return Mean.of(listed) if listed else None
