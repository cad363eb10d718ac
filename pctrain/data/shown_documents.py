"""Which documents a batch showed, by number and path: for a person who is told of a step that went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pcdata.dataset import Dataset
from pctrain.data.batch import Batch


@dataclass(frozen=True)
class ShownDocument:
    """A document."""

    dataset: str
    document: str
    """As ``pcdata show --doc`` finds it."""
    path: str


def shown_documents(datasets: Mapping[str, Dataset], batch: Batch) -> Iterator[ShownDocument]:
    """Those of all ranks' rows, by dataset; ``datasets`` by name, in the order of their names.

    Opens the files anew: a loader's own may be busy in another thread.
    """
    first = 0
    for name, dataset in datasets.items():
        split = Dataset(dataset.folder).split("train")
        for number in sorted(number - first for number in batch.shown):
            if 0 <= number < split.n_documents:
                path = split.document(number).path.decode(errors="backslashreplace")
                yield ShownDocument(name, f"{split.name}:{number}", path)
        first += split.n_documents
