"""The documents of a batch, by number and path, for the report of a bad step."""

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
    """The documents in the rows of all ranks, by dataset; ``datasets`` are by name, sorted.

    Opens the files again, because those of the loader may be in use by another thread.
    """
    first = 0
    for name, dataset in datasets.items():
        split = Dataset(dataset.folder).split("train")
        for number in sorted(number - first for number in batch.shown):
            if 0 <= number < split.n_documents:
                path = split.document(number).path.decode(errors="backslashreplace")
                yield ShownDocument(name, f"{split.name}:{number}", path)
        first += split.n_documents
