"""How a document is shown: raw, compressed, or both side by side. What the schedule says, and the dice.

The schedule is a pure function of the optimizer step; the dice of a document are its own (``hashing``). A document's
appearance is settled in the step in which the first of it is placed, and holds until its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias

from pctrain.config import MixtureConfig

RAW: Final = 0
"""The number of the raw bytes among the views; the i-th used compressed view is 1 + i."""

Appearance: TypeAlias = tuple[int, ...]
"""The views that a document is shown in, in order: one alone, or two as a pair."""


class Dice(NamedTuple):
    """A document's three draws in [0, 1)."""

    kind: float
    view: float
    order: float


@dataclass(frozen=True)
class Odds:
    """How likely a document is shown as a pair, or compressed alone; else it is shown raw alone."""

    pair: float
    compressed: float


def _translation(share: float) -> Odds:
    """As published: of all showings (a pair is two), ``share`` are compressed, and pairs as many as that allows."""
    if share <= 0.5:
        return Odds(share / (1 - share), 0.0)
    pair = 1 / share - 1
    return Odds(pair, 1 - pair)


_ODDS: dict[str, Callable[[float], Odds]] = {
    "raw": lambda share: Odds(0.0, 0.0),
    "compressed": lambda share: Odds(0.0, 1.0),
    "mixed": lambda share: Odds(0.0, share),
    "translation": _translation,
}

_RAW_FIRST = {"random": 0.5, "raw_first": 1.0, "compressed_first": 0.0}
"""How likely the raw side of a pair comes first."""


@dataclass(frozen=True)
class Phase:
    """What the schedule says at one step."""

    mode: str
    share: float
    """Of showings that are compressed; a pair is two showings."""

    @property
    def odds(self) -> Odds:
        return _ODDS[self.mode](self.share)


@dataclass(frozen=True)
class Schedule:
    """Mode and share as a pure function of the optimizer step."""

    config: MixtureConfig
    steps: int
    """Optimizer steps of the whole run."""

    @property
    def warmup_steps(self) -> int:
        return round(self.config.warmup_fraction * self.steps)

    def at(self, step: int) -> Phase:
        config = self.config
        if step >= self.warmup_steps:
            return Phase(config.mode, config.share)
        risen = step / self.warmup_steps
        return Phase(config.warmup_mode, config.initial_share + (config.share - config.initial_share) * risen)

    @property
    def modes(self) -> list[str]:
        """The modes that occur, in order."""
        warmup = [self.config.warmup_mode] if self.warmup_steps else []
        return [*warmup, self.config.mode]


class Mixture:
    """Turns a document's dice into its appearance."""

    def __init__(self, pair_order: str, weights: Sequence[float]) -> None:
        """``weights`` are those of the used views, above 0 in any unit; none are needed where all is shown raw."""
        self._raw_first = _RAW_FIRST[pair_order]
        self._view_below = [end / sum(weights) for end in accumulate(weights)][:-1]

    def appearance(self, odds: Odds, dice: Dice) -> Appearance:
        """The view is drawn whether or not it is shown, so that one draw never shifts the meaning of another."""
        view = 1 + sum(dice.view >= below for below in self._view_below)
        if dice.kind < odds.pair:
            return (RAW, view) if dice.order < self._raw_first else (view, RAW)
        if dice.kind < odds.pair + odds.compressed:
            return (view,)
        return (RAW,)
