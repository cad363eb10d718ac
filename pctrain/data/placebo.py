"""The placebo: a view whose symbols say nothing about the bytes they encode.

Each document keeps its symbols, and so how often each occurs, but not their order. A model trained with the placebo
sees as many symbols, on the same schedule, as one trained with the view; it lacks only what the view teaches. The
difference is transfer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.splitmix import hashes


def permuted(symbols: NDArray[Any], offsets: NDArray[np.int64], key: int) -> NDArray[Any]:
    """A copy with the symbols of each document in an order drawn from ``key``; document d has those from
    ``offsets[d]`` to ``offsets[d + 1]``."""
    document_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return symbols[np.lexsort((hashes(key, np.arange(len(symbols), dtype=np.uint64)), document_of))]
