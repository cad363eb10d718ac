"""Shards for a trainer of your own: documents and packed batches as ``torch.utils.data`` datasets.

Both go to the workers of a ``DataLoader`` as paths and settings; each worker maps the files itself. ::

    from torch.utils.data import DataLoader
    from pctrain.data.torch_dataset import DocumentDataset, PackedBatches

    documents = DataLoader(DocumentDataset("shards/"), batch_size=8, collate_fn=list, num_workers=2)
    batches = DataLoader(PackedBatches("shards/", steps=1000), batch_size=None, num_workers=2)

One worker makes each batch, and a ``DataLoader`` asks its workers in turn, so for any number of workers the batches and
their order are those of ``Loader``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, get_worker_info

from pcdata.dataset import Dataset, Vocabulary
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.batch import Batch
from pctrain.data.cursor import Cursor
from pctrain.data.loader import Loader
from pctrain.errors import CheckpointError


class DocumentDataset(TorchDataset[dict[str, Any]]):
    """The documents of one split, by number. Lengths differ: give a ``DataLoader`` a ``collate_fn``, such as ``list``.

    A document is a dictionary: ``path`` (bytes), ``lang``, ``source``, ``doc_id`` (str); ``raw`` (uint8 [B]); and for
    each view ``symbols`` (int64 [S], from 0 on: a model's ids begin at the view's ``first_id``), ``symbol_ends`` and
    ``raw_ends`` (int64 [U], exclusive ends of its units), in dictionaries by the view's name.
    """

    def __init__(self, folder: str | Path, split: str = "train", views: Sequence[str] | None = None) -> None:
        """``views``: which to read; None: all. Raises ``DatasetError`` for a missing split or view."""
        dataset = Dataset(Path(folder))
        self.split = dataset.split(split)
        self.views = [view.name for view in dataset.manifest.views] if views is None else [*views]
        for name in self.views:
            dataset.manifest.view(name)

    def __len__(self) -> int:
        return self.split.n_documents

    def __getitem__(self, number: int) -> dict[str, Any]:
        document = self.split.document(number + len(self) if number < 0 else number)
        points = {name: document.alignment(name) for name in self.views}
        return {
            "path": document.path,
            "lang": document.lang,
            "source": document.source,
            "doc_id": document.doc_id,
            "raw": torch.from_numpy(document.raw.copy()),
            "symbols": {name: torch.from_numpy(document.symbols(name).astype(np.int64)) for name in self.views},
            "symbol_ends": {name: torch.from_numpy(ends.symbol_ends) for name, ends in points.items()},
            "raw_ends": {name: torch.from_numpy(ends.raw_ends) for name, ends in points.items()},
        }


class PackedBatches(IterableDataset[dict[str, Tensor]]):
    """One rank's rows of the batches that ``pctrain fit`` would train on with these settings. Each iteration begins
    with the first batch, except the one after ``load_state_dict``.

    A batch is a dictionary of ``Batch``'s arrays as tensors [R, T]: ``inputs``, ``targets`` (already the next ids: do
    not shift them again), ``positions``, ``samples`` and ``target_views``. Give the ``DataLoader`` ``batch_size=None``.

    ``state_dict`` and ``load_state_dict`` are for torchdata's ``StatefulDataLoader``: it resumes after the last batch
    that it returned, with the same number of workers.
    """

    def __init__(
        self,
        *folders: str | Path,
        steps: int,
        data: DataConfig | None = None,
        mixture: MixtureConfig | None = None,
        seed: int = 0,
        split: str = "train",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """``steps``: of the whole run; the schedule of ``mixture`` depends on it. Raises as ``Loader``."""
        splits = [Dataset(Path(folder)).split(split) for folder in folders]
        data, mixture = data or DataConfig(), mixture or MixtureConfig()
        self._loader = partial(Loader, splits, data, mixture, steps=steps, seed=seed, rank=rank, world_size=world_size)
        self._steps = steps
        self.vocabulary: Vocabulary = self._loader().vocabulary
        """The ids in the batches; a model needs ``vocabulary.padded_size`` of them."""
        self._begin = Cursor()
        """Where the next iteration begins."""
        self._cursor = Cursor()
        """The position of the one in progress."""

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        self._cursor, self._begin = self._begin, Cursor()
        loader = self._loader(cursor=self._cursor)
        for step in range(self._cursor.step, self._steps):
            if step % workers == number:
                batch = loader.next_batch()
                self._cursor = batch.cursor
                yield _tensors(batch)
            else:
                loader.pass_over()
        self._cursor = Cursor()

    def state_dict(self) -> dict[str, Any]:
        """The position of the stream after the last batch that was returned. Plain values."""
        return self._cursor.to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from there at the next ``iter``. Raises ``CheckpointError`` if it is not such a state."""
        cursor = Cursor.from_dict(state)
        if cursor.step > self._steps:
            raise CheckpointError(
                f"the state is after batch {cursor.step} of {self._steps}; give the state of this run"
            )
        self._begin = self._cursor = cursor


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """The arrays by name, without the shape suffix."""
    return {name.removesuffix("_RT"): torch.from_numpy(array) for name, array in batch.arrays._asdict().items()}
