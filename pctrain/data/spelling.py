"""What the ids of compressed views stand for, counted in the dataset: no codec is asked.

Where a unit is one symbol, the symbol stands for the unit's bytes. In a tokenizer's view it stands for the same bytes
wherever it occurs; in a view of coding windows for these here and for others there, and a count says how often for
which. Views with units of several symbols say nothing of a symbol alone, and those whose symbols share the raw ids need
no telling: both are left out. A placebo's symbols are counted in the order that it gives them, so that they stand for
whatever they came to lie beside.

Legend: V ids, U units of a block, K bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import DatasetError, Split, Vocabulary
from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES, RAW_IDS
from pctrain.data.batch import IGNORE
from pctrain.data.placebo import permuted

LOOKED_AT_BYTES: Final = 1 << 24
"""How many raw bytes are counted, over all datasets: some more, since blocks are taken whole."""


class _Units(NamedTuple):
    """The units of one block in one view, each a symbol."""

    ids_U: NDArray[np.int64]
    sizes_U: NDArray[np.int64]
    """In raw bytes."""
    raw: NDArray[np.uint8]
    """Of all of them, one after the other."""


def byte_shares(
    splits: Sequence[Split],
    vocabulary: Vocabulary,
    views: Sequence[str],
    *,
    placebo: bool = False,
    up_to_bytes: int = LOOKED_AT_BYTES,
) -> NDArray[np.float32]:
    """Of the bytes that an id was seen to stand for, the share of each value: [V, 256], rows that sum to 1.

    Ids that were not seen, or that nothing is known of, have rows of zeros. V is the vocabulary's padded size.
    """
    counts = np.zeros((vocabulary.padded_size, N_BYTES), np.uint32)
    for view in views:
        for ids_U, sizes_U, raw in _units(splits, vocabulary, view, placebo, up_to_bytes):
            np.add.at(counts.reshape(-1), np.repeat(ids_U * N_BYTES, sizes_U) + raw, np.uint32(1))
    shares = counts.astype(np.float32)
    shares /= np.maximum(1, counts.sum(1, keepdims=True))
    return shares


def spellings(
    splits: Sequence[Split],
    vocabulary: Vocabulary,
    views: Sequence[str],
    n_bytes: int,
    *,
    placebo: bool = False,
    up_to_bytes: int = LOOKED_AT_BYTES,
) -> NDArray[np.int16]:
    """The raw ids of the first bytes of what an id stands for: [V, n_bytes], IGNORE behind the end of a shorter one.

    Only of views in which every id was seen to stand for one run of bytes: where one does not, another may have been
    seen too seldom to tell. Ids that were not seen, or that nothing is known of, have IGNORE throughout.
    """
    begins_VK = np.full((vocabulary.padded_size, n_bytes), IGNORE, np.int16)
    for view in views:
        sizes_V = np.zeros(len(begins_VK), np.int64)
        for units in _units(splits, vocabulary, view, placebo, up_to_bytes):
            begins_UK = _beginnings(units, n_bytes)
            new_U = sizes_V[units.ids_U] == 0
            sizes_V[units.ids_U[new_U]] = units.sizes_U[new_U]
            begins_VK[units.ids_U[new_U]] = begins_UK[new_U]
            same = np.array_equal(sizes_V[units.ids_U], units.sizes_U)
            if not same or not np.array_equal(begins_VK[units.ids_U], begins_UK):
                begins_VK[sizes_V > 0] = IGNORE
                break
    return begins_VK


def _beginnings(units: _Units, n_bytes: int) -> NDArray[np.int16]:
    """The first raw ids of each unit, IGNORE behind the end of a shorter one."""
    begins_UK = np.full((len(units.ids_U), n_bytes), IGNORE, np.int16)
    starts_U = np.cumsum(units.sizes_U) - units.sizes_U
    for at in range(n_bytes):
        has_U = units.sizes_U > at
        begins_UK[has_U, at] = units.raw[starts_U[has_U] + at].astype(np.int16) + FIRST_BYTE
    return begins_UK


def _units(
    splits: Sequence[Split], vocabulary: Vocabulary, view: str, placebo: bool, up_to_bytes: int
) -> Iterator[_Units]:
    """Of blocks spread evenly over each split, at least one of each, until they hold so many bytes."""
    first_id, n_symbols = vocabulary.views[view].first_id, vocabulary.views[view].n_symbols
    if first_id < RAW_IDS:
        return
    for split in splits:
        wanted = up_to_bytes // len(splits) * split.n_blocks / max(1, split.raw_bytes)
        count = min(split.n_blocks, int(wanted) + 1)
        for block in range(count):
            block = block * split.n_blocks // count
            base, columns = split.base(block), split.view(view, block)
            if columns.unit_symbols is not None:
                return
            raw = base.raw[: base.raw_offsets[-1]]
            symbols: NDArray[Any] = columns.symbols
            sizes_U = columns.unit_bytes.astype(np.int64)
            if sizes_U.sum() != len(raw) or (len(symbols) and int(symbols.max()) >= n_symbols):
                raise DatasetError(
                    f"{split.where(block)}: units of view {view} stand for {sizes_U.sum()} bytes of {len(raw)}, or a "
                    f"symbol is not among its {n_symbols}; run pcdata verify and rebuild"
                )
            if placebo:
                symbols = permuted(symbols, columns.symbol_offsets, block)
            yield _Units(symbols.astype(np.int64) + first_id, sizes_U, raw)
