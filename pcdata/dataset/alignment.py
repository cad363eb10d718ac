"""Alignment: which symbols encode which raw bytes.

On disk a view stores differences (raw bytes per unit, symbols per unit); here they become absolute, exclusive ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Alignment:
    """The alignment points of one document in one view; entry i is the end of unit i.

    Both arrays are copies (running sums), int64, strictly rising, of the same length; empty for an empty document.
    """

    symbol_ends: NDArray[np.int64]
    """Exclusive, into the document's symbols."""
    raw_ends: NDArray[np.int64]
    """Exclusive, into the document's raw bytes."""

    def slices(self) -> Iterator[tuple[slice, slice]]:
        """Each unit's range in the symbols, and in the raw bytes."""
        ends = zip(self.symbol_ends.tolist(), self.raw_ends.tolist(), strict=True)
        for (symbol, raw), (symbol_end, raw_end) in pairwise([(0, 0), *ends]):
            yield slice(symbol, symbol_end), slice(raw, raw_end)


def alignment_of(
    unit_bytes: NDArray[np.unsignedinteger], unit_symbols: NDArray[np.unsignedinteger] | None
) -> Alignment:
    """Sum a document's unit lengths. ``unit_symbols`` is None where every unit is one symbol."""
    raw_ends = np.cumsum(unit_bytes, dtype=np.int64)
    if unit_symbols is None:
        return Alignment(np.arange(1, len(raw_ends) + 1, dtype=np.int64), raw_ends)
    return Alignment(np.cumsum(unit_symbols, dtype=np.int64), raw_ends)
