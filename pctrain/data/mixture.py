"""How a document is shown: raw, compressed, or in two views at once. What the schedule says becomes odds, and a
document's draws decide.

The schedule is a function of the optimizer step alone (``schedule``), and the draws of a document are its own
(``draws``). A document's appearance is settled in the step in which the first of it is placed, and holds until its
end.
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
from pctrain.data.schedule import Phase

RAW: Final = 0
"""The number of the raw bytes among the views; the i-th used compressed view is 1 + i."""


class Arrangement(StrEnum):
    """In which arrangement a document is shown. The names are written into cursors."""

    SINGLE = "single"
    """In one view."""
    PAIR = "pair"
    """In two views, the same span of bytes side by side in one sample."""
    PARALLEL = "parallel"
    """As a pair, but the two sides are samples of their own, which cannot see each other."""
    SPLICE = "splice"
    """Now in one view, now in the other, no byte twice."""


class Splicing(NamedTuple):
    """What the stretches of a spliced document are drawn from."""

    share: float
    """Of its raw bytes, how much is shown compressed on average."""
    mean_bytes: int
    """Raw bytes of a stretch on average."""


class Appearance(NamedTuple):
    """How a document is shown, settled when it begins."""

    arrangement: Arrangement
    views: tuple[int, ...]
    """One, or raw and another: of a pair in order."""
    splicing: Splicing | None = None
    """Of a spliced document."""


def single(view: int) -> Appearance:
    """In this view only."""
    return _SINGLE[view]


_SINGLE: Final = [Appearance(Arrangement.SINGLE, (view,)) for view in range(1 + MAX_VIEWS)]
"""Made once: most documents are shown so, and making one takes as long as drawing it."""


class AppearanceDraws(NamedTuple):
    """A document's three draws in [0, 1)."""

    kind: float
    view: float
    order: float


@dataclass(frozen=True)
class Odds:
    """How likely a document is shown in two views, or compressed alone; else it is shown raw alone."""

    both: float
    compressed: float
    arrangement: Arrangement = Arrangement.PAIR
    """The arrangement of two views."""
    share: float = 0.0
    """Of a spliced document, how much is compressed."""


def _pairs(share: float, arrangement: Arrangement) -> Odds:
    """As published: of all samples (a pair makes two), ``share`` are compressed, as many as possible in pairs."""
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
}

_RAW_FIRST = {"random": 0.5, "raw_first": 1.0, "compressed_first": 0.0}
"""How likely the raw side of a pair comes first."""


@dataclass(frozen=True)
class Lengths:
    """Mean symbols of a document as it is drawn: shown raw (its bytes), and compressed (by the views' weights)."""

    raw: float
    compressed: float

    def by_documents(self, share: float) -> float:
        """The share of samples that must be compressed for ``share`` of the symbols to be.

        Of samples, y compressed and 1 - y raw, the symbols are y · compressed and (1 - y) · raw on average; y follows.
        """
        weight = share * self.raw
        return weight / (weight + (1 - share) * self.compressed) if weight else 0.0


class Mixture:
    """Turns what the schedule says into odds, and a document's draws into its appearance."""

    def __init__(self, config: MixtureConfig, weights: Sequence[float], lengths: Lengths) -> None:
        """``weights`` are those of the views, in any unit: 0 for one that is not shown."""
        self._raw_first = _RAW_FIRST[config.pair_order]
        whole = sum(weights) or 1.0
        self._view_below = [end / whole for end in accumulate(weights)][:-1]
        self._splice_bytes = config.splice_bytes
        self._lengths = lengths if config.share_by == "symbols" else None

    def odds(self, phase: Phase) -> Odds:
        share = self._lengths.by_documents(phase.share) if self._lengths else phase.share
        return _ODDS[phase.mode](share)

    def appearance(self, odds: Odds, appearance_draws: AppearanceDraws) -> Appearance:
        """The view is drawn whether or not it is shown, so that one draw never shifts the meaning of another."""
        view = 1 + bisect_right(self._view_below, appearance_draws.view)
        if appearance_draws.kind >= odds.both:
            return single(view if appearance_draws.kind < odds.both + odds.compressed else RAW)
        if odds.arrangement is Arrangement.SPLICE:
            return Appearance(odds.arrangement, (RAW, view), Splicing(odds.share, self._splice_bytes))
        return Appearance(odds.arrangement, (RAW, view) if appearance_draws.order < self._raw_first else (view, RAW))
