"""The random draws of training, each with a purpose. They are hashes (``pcdata.dataset.splitmix``), without state."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.splitmix import fractions, key_of


class Purpose(IntEnum):
    """What a draw decides. The numbers are part of the sequence of batches: append, never renumber."""

    BLOCKS = 1
    """The order of the blocks of an epoch."""
    DOCUMENTS = 2
    """The order of the documents of a window."""
    KIND = 3
    """Whether a document appears raw, compressed or as a pair."""
    VIEW = 4
    """Which compressed view it appears in."""
    PAIR_ORDER = 5
    """Which side of a pair comes first."""
    DATASET = 6
    """From which of several datasets the next document is drawn."""
    SPLICE_DRAW = 7
    """At which units of a spliced document its view is drawn again."""
    SPLICE_VIEW = 8
    """Which view that is."""
    FRESH = 9
    """Whether a raw document is cut into short pieces, and how long each is."""
    PLACEBO = 10
    """The order of a document's compressed symbols in a placebo."""
    ROWS = 11
    """The order of the rows of a window."""


def uniform(seed: int, epoch: int, documents: NDArray[np.uint64], purpose: Purpose) -> NDArray[np.float64]:
    """One draw in [0, 1) per document number: the same on any rank, in any worker, after any resume."""
    return fractions(key_of(seed, purpose, epoch), documents)
