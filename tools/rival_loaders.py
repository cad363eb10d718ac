"""Other loaders of token blocks, for ``bench_loader``: each reads blocks of a flat file of uint16.

Each function writes the tokens in its library's format into ``folder``, and returns a function that makes ``batches``
batches of ``rows`` blocks of ``seq_len + 1`` tokens, in this process. ``ImportError`` if the library is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

Prepare = Callable[[Path, Path, int, int, int], Callable[[], None]]


def litdata_blocks(flat: Path, folder: Path, seq_len: int, rows: int, batches: int) -> Callable[[], None]:
    import litdata
    import torch
    from litdata.streaming.item_loader import TokensLoader

    block = seq_len + 1
    folder.mkdir()
    tokens = np.fromfile(flat, np.uint16)
    tokens = tokens[: len(tokens) // block * block].astype(np.int32)
    cache = litdata.streaming.cache.Cache(str(folder), chunk_size=block * 2000, item_loader=TokensLoader(block))
    for number, begin in enumerate(range(0, len(tokens), block)):
        cache._add_item(number, torch.from_numpy(tokens[begin : begin + block]))
    cache.done()
    cache.merge(1)
    dataset = litdata.StreamingDataset(str(folder), item_loader=TokensLoader(block), shuffle=True, drop_last=True)
    return _batches(dataset, rows, batches, lambda items: torch.stack(items).long())


def streaming_blocks(flat: Path, folder: Path, seq_len: int, rows: int, batches: int) -> Callable[[], None]:
    import torch
    from streaming import MDSWriter, StreamingDataset

    block = seq_len + 1
    tokens = np.fromfile(flat, np.uint16)
    with MDSWriter(out=str(folder), columns={"tokens": f"ndarray:uint16:{block}"}) as writer:
        for begin in range(0, len(tokens) - block, block):
            writer.write({"tokens": tokens[begin : begin + block]})
    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=rows)
    return _batches(
        dataset,
        rows,
        batches,
        lambda items: torch.from_numpy(np.stack([one["tokens"] for one in items]).astype(np.int64)),
    )


def _batches(
    dataset: Iterable[Any], rows: int, batches: int, collate: Callable[[list[Any]], Any]
) -> Callable[[], None]:
    """Inputs and targets as shifted views of one array, as a trainer uses a block."""

    def endless() -> Iterator[Any]:
        while True:
            yield from dataset

    items = endless()

    def read() -> None:
        for _ in range(batches):
            blocks = collate(list(islice(items, rows)))
            _ = blocks[:, :-1].contiguous(), blocks[:, 1:].contiguous()

    return read


RIVALS: dict[str, Prepare] = {"litdata": litdata_blocks, "mosaicml-streaming": streaming_blocks}
os.environ.setdefault("MOSAICML_STREAMING_DISABLE_TELEMETRY", "1")
