"""Symbol ids, assigned only here.

====================  =========================================================
ids                   meaning
====================  =========================================================
0 … 4                 pad, bos, eos, raw-open, raw-close
5 … 62                an open and a close mark per view, by slot (29 slots)
63                    not used
64 … 319              the 256 byte values
320 …                 the symbols of each view, in the order views were added
====================  =========================================================

A view whose symbols are bytes may share the raw byte ids instead of having its own (``ids=raw``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAD = 0
BOS = 1
EOS = 2
RAW_OPEN = 3
RAW_CLOSE = 4
FIRST_VIEW_MARK = 5
MAX_VIEWS = 29
FIRST_BYTE = 64
N_BYTES = 256
RAW_IDS = FIRST_BYTE + N_BYTES
"""Ids that a model of raw bytes alone needs: the specials and the bytes."""

PADDED_TO = 64
"""The size of a model's vocabulary is a multiple of this, for fast matrix kernels."""


@dataclass(frozen=True)
class ViewIds:
    """The ids of one view: its two marks, and the range that its symbols are shifted into."""

    slot: int
    """0 … 28; never reused, even after a view was dropped."""
    first_id: int
    """The id of the view's symbol 0."""
    n_symbols: int
    """How many distinct symbols the view can have."""

    @property
    def open_id(self) -> int:
        return FIRST_VIEW_MARK + 2 * self.slot

    @property
    def close_id(self) -> int:
        return FIRST_VIEW_MARK + 2 * self.slot + 1

    @property
    def end_id(self) -> int:
        """Exclusive end of the id range."""
        return self.first_id + self.n_symbols


RAW_VIEW = ViewIds(-1, FIRST_BYTE, N_BYTES)
"""Those of the raw bytes, whose marks are where those of a slot before the first would be."""


@dataclass(frozen=True)
class Vocabulary:
    """All ids of a dataset, or those that a model learns."""

    views: Mapping[str, ViewIds]

    @property
    def size(self) -> int:
        """One more than the largest id in use."""
        return max([RAW_IDS, *(ids.end_id for ids in self.views.values())])

    def compact(self) -> Vocabulary:
        """The same marks, with the symbols of all views contiguous: a model has no rows for views that it does not
        read."""
        views: dict[str, ViewIds] = {}
        for name, ids in self.views.items():
            shares_raw = ids.first_id < RAW_IDS
            first_id = ids.first_id if shares_raw else Vocabulary(views).size
            views[name] = ViewIds(ids.slot, first_id, ids.n_symbols)
        return Vocabulary(views)

    @property
    def padded_size(self) -> int:
        """``size`` rounded up to a multiple of 64: the rows of a model's embedding."""
        return -(-self.size // PADDED_TO) * PADDED_TO
