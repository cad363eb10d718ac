"""Which documents a batch showed, by number and path: for a person who is told of a step that went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pcdata.dataset import Dataset
from pctrain.config import DataConfig
from pctrain.data.batch import Cursor
from pctrain.data.filter import Filter
from pctrain.data.order import Order, seed_of


@dataclass(frozen=True)
class Named:
    """A document."""

    dataset: str
    document: str
    """As ``pcdata show --doc`` finds it."""
    path: str


def documents_between(
    datasets: Mapping[str, Dataset], data: DataConfig, seed: int, before: Cursor, after: Cursor
) -> Iterator[Named]:
    """All that were shown between two cursors, those in progress at either among them; ``datasets`` in their order.

    Opens the files anew: a loader's own may be busy in another thread.
    """
    only = Filter(data.where)
    for number, (name, dataset) in enumerate(datasets.items()):
        split = Dataset(dataset.folder).split("train")
        order = Order(split.block_documents, data.window_blocks, seed_of(seed, number))
        draw = before.draws[number] if before.draws else 0
        end = after.draws[number] + (after.how is not None and after.dataset == number)
        while draw < end:
            stretch = order.stretch(draw, end - draw)
            for block, row, document in zip(stretch.blocks, stretch.rows, stretch.documents, strict=True):
                if only.rows(split.base(block))[row]:
                    path = split.document(int(document)).path
                    yield Named(name, f"{split.name}:{document}", path.decode(errors="backslashreplace"))
            draw += len(stretch)
