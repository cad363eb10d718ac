"""How much an edit changes a sequence of symbols, and how soon the sequences realign.

*Distance*: the Levenshtein distance (fewest insertions, deletions and substitutions of symbols) over the length of the
longer sequence: 0 for equal sequences, 1 for nothing in common. Zheng et al. (2026, arXiv 2602.04289) attribute the
failure of gzip as a proxy to such instability; ``tools/study_zstd_units.py`` uses the same measure.

*Lag*: after a line is inserted, the symbols from the last alignment point at or before the line's end, to the point
from which all units to the end agree with the unedited document. It is 0 if everything after the line is unchanged.
Units agree if they have the same symbols and cover the same number of bytes. Agreement of a few last symbols that are
not a whole unit is chance, and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.alignment import Alignment
from pcdata.dataset.columns import Unsigned, ViewColumns

_FIRST_BAND: Final = 64


class Encoded(NamedTuple):
    symbols: Unsigned
    points: Alignment

    @classmethod
    def of(cls, columns: ViewColumns, row: int) -> Encoded:
        return cls(columns.symbols_of(row), columns.alignment_of(row))


@dataclass(frozen=True)
class Lag:
    """The effect of inserting a line into one document."""

    symbols: int
    """Until the sequences agree; all remaining symbols, if they never do."""
    agrees: bool
    """Whether they do, for at least one whole unit."""


def distance(before: Unsigned, after: Unsigned) -> float:
    """Normalised Levenshtein distance, exact. Raises ``ValueError`` if both are empty: there is nothing to compare."""
    from rapidfuzz.distance import Levenshtein  # needs the extra "probe"

    longest = max(len(before), len(after))
    if not longest:
        raise ValueError("two empty sequences have no normalised distance")
    # A guess only saves time: the band is widened until it holds the distance, and no distance is below this one.
    guess = max(abs(len(before) - len(after)), _FIRST_BAND)
    return Levenshtein.distance(before.tolist(), after.tolist(), score_hint=guess) / longest


def lag(before: Encoded, after: Encoded, insertion_end: int) -> Lag:
    """``insertion_end``: exclusive, into the edited document's bytes."""
    agreeing = _agreeing_symbols(before, after)
    known = int(np.searchsorted(after.points.raw_ends, insertion_end, side="right"))
    start = int(after.points.symbol_ends[known - 1]) if known else 0
    return Lag(max(0, len(after.symbols) - agreeing - start), agreeing > 0)


def _agreeing_symbols(before: Encoded, after: Encoded) -> int:
    """Symbols of the units at the end that both have in common."""
    symbols = _common_prefix(before.symbols[::-1], after.symbols[::-1])
    units = min(
        _common_prefix(*(np.diff(each.points.raw_ends, prepend=0)[::-1] for each in (before, after))),
        _common_prefix(*(np.diff(each.points.symbol_ends, prepend=0)[::-1] for each in (before, after))),
    )
    from_the_end = len(after.symbols) - np.concatenate([[0], after.points.symbol_ends])[::-1][: units + 1]
    return int(from_the_end[np.searchsorted(from_the_end, symbols, side="right") - 1])


def _common_prefix(left: NDArray[Any], right: NDArray[Any]) -> int:
    length = min(len(left), len(right))
    differing = np.flatnonzero(left[:length] != right[:length])
    return int(differing[0]) if len(differing) else length
