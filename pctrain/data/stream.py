"""One stream of documents from several datasets: which is next depends only on how many each has given so far.

A counter-based hash of n, compared with the weights, decides the dataset of the n-th draw. Within a dataset, documents
come in its own order, through its own epochs. So the whole state is one count per dataset. Weights may change between
two draws without changing the meaning of the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from pctrain.data.documents import Document, Documents
from pctrain.data.draws import Purpose, uniform

_CHOICES = 4096
"""How many draws are decided at once; deciding them one by one would cost more than everything else."""


class Stream:
    """Documents of ``datasets``, drawn with the weights of ``draw_by``; ``draws`` is how many each has given so far."""

    def __init__(self, datasets: Sequence[Documents], draws: Sequence[int], seed: int) -> None:
        self._datasets = datasets
        self._seed = seed
        self.draws = [*draws]
        """Documents drawn from each dataset, read or skipped, without the one in progress."""
        self.dataset: int | None = None
        """The dataset of the document in progress; None between two documents."""
        self.draw_by([1.0] * len(datasets))

    def draw_by(self, weights: Sequence[float]) -> None:
        """Draw with these weights from here on; a document that was peeked at and has not begun is drawn again."""
        self._below = [end / sum(weights) for end in accumulate(weights)][:-1]
        self._next: tuple[int, Document] | None = None
        self._chunk = -1
        self._choices: list[int] = []

    def forget(self) -> None:
        """As ``Documents.forget``."""
        for documents in self._datasets:
            documents.forget()

    def expect_raw(self, share: float) -> None:
        """The share of documents to be read as raw bytes. Only readahead depends on it."""
        for documents in self._datasets:
            documents.raw_is_rare = share < 0.5

    def peek(self) -> Document:
        """The document that would begin next; the same until one begins."""
        if self._next is None:
            dataset = self._choice(sum(self.draws)) if self._below else 0
            documents = self._datasets[dataset]
            self._next = dataset, documents.document(documents.next_kept(self.draws[dataset]))
        return self._next[1]

    def begin(self) -> tuple[int, int]:
        """Begin the document of ``peek``; returns its dataset, and how many documents were skipped before it."""
        assert self._next is not None
        dataset, document = self._next
        passed_over = document.draw - self.draws[dataset]
        self.dataset, self.draws[dataset] = dataset, document.draw
        return dataset, passed_over

    def resume(self, dataset: int) -> Document:
        """Continue the document at ``draws`` in ``dataset``, which an earlier run has begun."""
        self.dataset = dataset
        return self._datasets[dataset].document(self.draws[dataset])

    def end(self) -> None:
        """The document in progress is done."""
        assert self.dataset is not None
        self.draws[self.dataset] += 1
        self.dataset = self._next = None

    def _choice(self, number: int) -> int:
        chunk, place = divmod(number, _CHOICES)
        if chunk != self._chunk:
            numbers = np.arange(chunk * _CHOICES, (chunk + 1) * _CHOICES, dtype=np.uint64)
            chances = uniform(self._seed, 0, numbers, Purpose.DATASET)
            self._chunk, self._choices = chunk, np.searchsorted(self._below, chances, side="right").tolist()
        return self._choices[place]
