"""Batches made ahead of the step, by one thread. Only the waiting time depends on it."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from queue import SimpleQueue
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
        self._free = threading.Semaphore(depth)
        self._made: SimpleQueue[Batch | Exception] = SimpleQueue()
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=(batches,), name="prefetch", daemon=True)
        self.wait_seconds = 0.0
        """How long callers of ``next_batch`` have waited in total."""
        self._ahead = depth > 0
        if self._ahead:
            self._thread.start()

    def next_batch(self) -> Batch:
        """As ``Loader.next_batch``; an error in making the batch is raised here."""
        if self._failure is not None:
            raise self._failure
        if self._closing or not self._left:
            raise ValueError("no batch is left")
        self._left -= 1
        start = perf_counter()
        made = self._next() if self._ahead else self._make()
        self.wait_seconds += perf_counter() - start
        if isinstance(made, Exception):
            self._failure = made
            raise made
        return made

    def close(self) -> None:
        """Let the thread finish its current batch and end. Batches made ahead are dropped; no cursor includes them."""
        self._closing = True
        if self._thread.is_alive():
            self._free.release()
            self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> Batch | Exception:
        made = self._made.get()
        self._free.release()
        return made

    def _make(self) -> Batch | Exception:
        """An error is a result too: ``next_batch`` raises it in the thread that can handle it."""
        try:
            return self._loader.next_batch()
        except Exception as error:
            return error

    def _work(self, batches: int) -> None:
        for _ in range(batches):
            self._free.acquire()
            if self._closing:
                return
            made = self._make()
            self._made.put(made)
            if isinstance(made, Exception):
                return
