"""Loaders to be timed, with splits that never end."""

from __future__ import annotations

from pcdata.dataset import Split
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader

SEQ_LEN, ROWS = 4096, 8


def loader_of(
    split: Split, mode: str, share: float, shuffle_rows: int | None = None, rows: int = ROWS, ranks: int = 1
) -> Loader:
    """``shuffle_rows``: rows of a window; None for the default. ``rows``: rows of a batch of all ranks."""
    data = DataConfig(SEQ_LEN, rows, shuffle_rows=DataConfig().shuffle_rows if shuffle_rows is None else shuffle_rows)
    mixture = MixtureConfig(mode=mode, share=share, warmup_fraction=0)
    return Loader(split, data, mixture, steps=1 << 40, seed=0, world_size=ranks)


def make_batches(loader: Loader, count: int) -> int:
    """Make the next batches. Returns how many documents they show."""
    return sum(loader.next_batch().stats.documents for _ in range(count))
