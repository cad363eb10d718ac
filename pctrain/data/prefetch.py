"""Batches made ahead of the step, by one thread. Only the waiting time depends on it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from time import perf_counter

from pctrain.data.batch import Batch
from pctrain.data.loader import Loader


class Prefetcher(AbstractContextManager["Prefetcher"]):
    """The next ``batches`` of ``loader``, up to ``depth`` of them made ahead; 0 makes each when asked for it.

    Close it, or use it as a context manager. From here on only the thread may use the loader and its split.
    """

    def __init__(self, loader: Loader, batches: int, depth: int) -> None:
        self._loader = loader
        self._left = batches
        self._depth = depth
        self._thread = ThreadPoolExecutor(1, "prefetch")
        self._ahead: deque[Future[Batch]] = deque()
        self.wait_seconds = 0.0
        """How long callers of ``next_batch`` have waited in total."""
        self._make_ahead()

    def next_batch(self) -> Batch:
        """As ``Loader.next_batch``; an error in making the batch is raised here, and again by every later call."""
        if not self._left:
            raise ValueError("no batch is left")
        start = perf_counter()
        made = self._ahead[0].result() if self._ahead else self._loader.next_batch()
        self.wait_seconds += perf_counter() - start
        self._left -= 1
        if self._ahead:
            self._ahead.popleft()
            self._make_ahead()
        return made

    def close(self) -> None:
        """Let the thread finish its current batch and end. Batches made ahead are dropped; no cursor includes them."""
        self._left = 0
        self._thread.shutdown(cancel_futures=True)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_ahead(self) -> None:
        while len(self._ahead) < min(self._depth, self._left):
            self._ahead.append(self._thread.submit(self._loader.next_batch))
