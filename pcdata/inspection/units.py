"""Count symbols and units, of a dataset's views or of a compressor being probed.

Two units *collide* if they have the same symbols and encode different bytes; a run of bytes is *ambiguous* if several
sequences of symbols encode it as a unit. Both are counted over occurrences of units, so that a share weighs what a
model would read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.alignment import Alignment
from pcdata.dataset.columns import Unsigned

Unit: TypeAlias = tuple[bytes, bytes]
"""The symbols of a unit, as bytes, and its raw bytes."""


def split_units(symbols: Unsigned, points: Alignment, raw: bytes) -> Iterator[Unit]:
    return ((symbols[of_symbols].tobytes(), raw[of_raw]) for of_symbols, of_raw in points.slices())


def colliding(units: Counter[Unit]) -> int:
    """Units whose symbols encode other bytes elsewhere."""
    meanings = Counter(symbols for symbols, _ in units)
    return sum(count for (symbols, _), count in units.items() if meanings[symbols] > 1)


def ambiguous(units: Counter[Unit]) -> int:
    """Units whose bytes are encoded by other symbols elsewhere."""
    spellings = Counter(raw for _, raw in units)
    return sum(count for (_, raw), count in units.items() if spellings[raw] > 1)


def entropy(counts: NDArray[np.int64]) -> float | None:
    """Bits of a symbol drawn from these counts (order 0, without its neighbours); None of no symbols."""
    if not len(counts):
        return None
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
