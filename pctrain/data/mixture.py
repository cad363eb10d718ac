"""How a document appears: raw, compressed, or in two views at once. The schedule gives the odds, and the document's
random draws decide.

The schedule depends only on the optimizer step (``schedule``), and the draws only on the document (``draws``). A
document's appearance is decided in the step in which its first symbol is placed, and stays the same to its end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final, NamedTuple

from pcdata.dataset.vocab import MAX_VIEWS
from pctrain.config import MixtureConfig
from pctrain.data.schedule import BAGS, Phase

RAW: Final = 0
"""The number of the raw bytes among the views; the i-th used compressed view is 1 + i."""


class Arrangement(StrEnum):
    """How the views of a document are arranged. The names are written into cursors."""

    SINGLE = "single"
    """One view."""
    PAIR = "pair"
    """Two views: the same bytes one after the other, in one sample."""
    PARALLEL = "parallel"
    """As a pair, but each side is a sample of its own, so they cannot see each other."""
    SPLICE = "splice"
    """Switching between two views, no byte twice."""


class Splicing(NamedTuple):
    """What decides the stretches of a spliced document."""

    share: float
    """The mean share of its raw bytes that appears compressed."""
    mean_bytes: int
    """Mean raw bytes of a stretch."""


class Appearance(NamedTuple):
    """How a document appears, decided when it begins."""

    arrangement: Arrangement
    views: tuple[int, ...]
    """One view, or raw and another; for a pair, in order."""
    splicing: Splicing | None = None
    """Of a spliced document."""


def single(view: int) -> Appearance:
    """The appearance in this view only."""
    return _SINGLE[view]


_SINGLE: Final = [Appearance(Arrangement.SINGLE, (view,)) for view in range(2 + MAX_VIEWS)]
"""Of raw bytes, all views, and bags. Made once: most documents appear like this, and making one takes as long as
drawing it."""


class AppearanceDraws(NamedTuple):
    """A document's three draws in [0, 1)."""

    kind: float
    view: float
    order: float


@dataclass(frozen=True)
class Odds:
    """The probabilities that a document appears in two views, or compressed alone; otherwise it appears raw alone."""

    both: float
    compressed: float
    arrangement: Arrangement = Arrangement.PAIR
    """The arrangement of two views."""
    share: float = 0.0
    """How much of a spliced document is compressed."""
    in_bags: bool = False
    """Whether all documents appear in the view of bags instead."""


def _pairs(share: float, arrangement: Arrangement) -> Odds:
    """As published: ``share`` of all appearances (a pair counts as two) are compressed, with as many pairs as
    possible."""
    if share <= 0.5:
        return Odds(share / (1 - share), 0.0, arrangement)
    both = 1 / share - 1
    return Odds(both, 1 - both, arrangement)


_ODDS: dict[str, Callable[[float], Odds]] = {
    "raw": lambda share: Odds(0.0, 0.0),
    "compressed": lambda share: Odds(0.0, 1.0),
    "mixed": lambda share: Odds(0.0, share),
    "translation": lambda share: _pairs(share, Arrangement.PAIR),
    "parallel": lambda share: _pairs(share, Arrangement.PARALLEL),
    "splice": lambda share: Odds(1.0, 0.0, Arrangement.SPLICE, share),
    BAGS: lambda share: Odds(0.0, 0.0, in_bags=True),
}

_RAW_FIRST = {"random": 0.5, "raw_first": 1.0, "compressed_first": 0.0}
"""The probability that the raw side of a pair comes first."""


@dataclass(frozen=True)
class Lengths:
    """Mean symbols of a drawn document: raw (its bytes), and compressed (weighted over the views)."""

    raw: float
    compressed: float

    def by_documents(self, share: float) -> float:
        """The share of appearances that must be compressed so that ``share`` of the symbols are.

        If a share y of the appearances is compressed, the mean symbols are y · compressed and (1 - y) · raw; solve for
        y.
        """
        weight = share * self.raw
        return weight / (weight + (1 - share) * self.compressed) if weight else 0.0


class Mixture:
    """Turns the schedule into odds, and a document's draws into its appearance."""

    def __init__(
        self, config: MixtureConfig, weights: Sequence[float], lengths: Lengths, bags: int | None = None
    ) -> None:
        """``weights``: those of the views, in any unit; 0 for one that is not used. ``bags``: the number of the view of
        bags."""
        self._bags = bags
        self._raw_first = _RAW_FIRST[config.pair_order]
        whole = sum(weights) or 1.0
        self._view_below = [end / whole for end in accumulate(weights)][:-1]
        self._splice_bytes = config.splice_bytes
        self._lengths = lengths if config.share_by == "symbols" else None

    def odds(self, phase: Phase) -> Odds:
        share = self._lengths.by_documents(phase.share) if self._lengths else phase.share
        return _ODDS[phase.mode](share)

    def appearance(self, odds: Odds, appearance_draws: AppearanceDraws) -> Appearance:
        """The view is drawn even if it is not used, so that one draw never changes the meaning of another."""
        if odds.in_bags:
            assert self._bags is not None
            return single(self._bags)
        view = 1 + bisect_right(self._view_below, appearance_draws.view)
        if appearance_draws.kind >= odds.both:
            return single(view if appearance_draws.kind < odds.both + odds.compressed else RAW)
        if odds.arrangement is Arrangement.SPLICE:
            return Appearance(odds.arrangement, (RAW, view), Splicing(odds.share, self._splice_bytes))
        return Appearance(odds.arrangement, (RAW, view) if appearance_draws.order < self._raw_first else (view, RAW))
