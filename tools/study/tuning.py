"""The learning rate of each arm: the best of some, found in short runs before its trials.

An arm's first seed is trained with a part of its steps (and a whole schedule) at each rate of ``tuning.rates``. While
the best rate is the lowest or the highest so far, the next one beyond it is tried too. All seeds of the arm, its
placebo, and the arms that are ``tuned_as`` it then have the best rate. The runs are trials like any other: each has a
result on disk, and which rate comes next follows from these alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from tools.study.plan import Arm, Study, Trial, Tuning

_DIGITS: Final = 3
"""Of a learning rate."""

BitsOf = Callable[[Trial], float | None]
"""The bits per byte of a tuning run; None before it was run."""


def next_rates(tuning: Tuning, bits: Mapping[float, float]) -> list[float]:
    """The rates to try next, by the bits of those tried; none if the best has a worse one on either side."""
    if missing := [rate for rate in tuning.rates if rate not in bits]:
        return missing
    tried, ratio = sorted(bits), tuning.rates[1] / tuning.rates[0]
    best = best_rate(bits)
    if best == tried[0]:
        return [float(f"{best / ratio:.{_DIGITS}g}")]
    return [float(f"{best * ratio:.{_DIGITS}g}")] if best == tried[-1] else []


def best_rate(bits: Mapping[float, float]) -> float:
    return min(bits, key=bits.__getitem__)


class Rates:
    """The learning rates of a study, as far as they are known."""

    def __init__(self, study: Study, bits_of: BitsOf) -> None:
        self._study = study
        self._bits_of = bits_of

    def missing(self, trial: Trial) -> list[Trial]:
        """The tuning runs that a trial waits for, which can be run now."""
        if self._study.tuning is None or trial.tunes:
            return []
        arm = self._tuned(trial.arm)
        bits = self.tried(arm)
        return [run for rate in next_rates(self._study.tuning, bits) if self._bits_of(run := _run(arm, rate)) is None]

    def known(self, trial: Trial) -> Trial | None:
        """The trial with its learning rate; None if that is not known yet."""
        if self._study.tuning is None or trial.tunes:
            return trial
        bits = self.tried(self._tuned(trial.arm))
        decided = not next_rates(self._study.tuning, bits)
        return dataclasses.replace(trial, lr=best_rate(bits)) if decided else None

    def tried(self, arm: Arm) -> dict[float, float]:
        """The bits per byte of an arm's rates, in the order they were tried; of no rate before all that go with it."""
        assert self._study.tuning is not None
        found: dict[float, float] = {}
        while rates := next_rates(self._study.tuning, found):
            bits = {rate: self._bits_of(_run(arm, rate)) for rate in rates}
            if None in bits.values():
                break
            found |= {rate: each for rate, each in bits.items() if each is not None}
        return found

    def table(self) -> dict[str, dict[float, float]]:
        """By arm with a rate of its own, the bits of what was tried; empty without tuning."""
        arms = self._study.arms.values() if self._study.tuning else ()
        return {arm.name: tried for arm in arms if not arm.tuned_as and (tried := self.tried(arm))}

    def _tuned(self, arm: Arm) -> Arm:
        return self._study.arms[arm.tuned_as or arm.name]


def _run(arm: Arm, rate: float) -> Trial:
    return Trial(arm, arm.seeds[0], rate, tunes=True)
