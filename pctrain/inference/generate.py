"""Weights → text: raw bytes after a raw prompt, one at a time.

The model sees what it saw in training: ``[BOS] <raw-open> bytes``; when the window is full, the latter half of the
text goes on under a fresh open mark. Only bytes and the raw-close mark, which ends the document, can be drawn.
"""

from __future__ import annotations

import codecs
import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pcdata.dataset.vocab import BOS, FIRST_BYTE, N_BYTES, RAW_CLOSE, RAW_OPEN
from pctrain.errors import ConfigError
from pctrain.model.decoder import Cache, Decoder

END = N_BYTES
"""What is drawn beside the bytes 0 … 255: the end of the document."""


@dataclass(frozen=True)
class Sampling:
    """How the next byte is drawn."""

    max_bytes: int = 500
    temperature: float = 0.8
    """0 takes the likeliest byte."""
    top_p: float = 1.0
    """Draw among the likeliest bytes that have this much probability together."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ConfigError(f"--max-bytes must be at least 1, got {self.max_bytes}")
        if not self.temperature >= 0:
            raise ConfigError(f"--temperature must be at least 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"--top-p must be above 0 and at most 1, got {self.top_p}")


def generate(model: Decoder, prompt: bytes, sampling: Sampling, window: int) -> Iterator[int]:
    """Bytes after ``prompt``, as they are drawn, until the document ends or ``max_bytes`` are made.

    ``window`` is how many positions the model sees: the run's seq_len.
    """
    text = bytearray(prompt)
    context = _Context(model, window)
    for index in range(sampling.max_bytes):
        drawn = draw(context.logits(text), sampling, uniform(sampling.seed, index))
        if drawn == END:
            return
        text.append(drawn)
        yield drawn


class _Context:
    """The window of the model: what was shown of the text so far."""

    def __init__(self, model: Decoder, window: int) -> None:
        self._model = model
        self._window = window
        self._cache: Cache | None = None
        self._shown = 0

    @torch.no_grad()
    def logits(self, text: bytearray) -> NDArray[np.float64]:
        """Show what is new in ``text``; the logits of bytes and END after it."""
        if self._cache is None:
            opening = [BOS, RAW_OPEN]
            inputs = [*opening, *self._ids(text)]
            if len(inputs) > self._window:
                inputs = self._latter(text, self._window - 1)
            self._cache = Cache(self._window)
        else:
            inputs = self._ids(text[self._shown :])
            if self._cache.length + len(inputs) > self._window:
                inputs = self._latter(text, self._window // 2)
                self._cache = Cache(self._window)
        self._shown = len(text)
        device = self._model.embed.weight.device
        hidden_1TD = self._model.hidden(torch.tensor([inputs], device=device), cache=self._cache)
        logits_V = self._model.logits(hidden_1TD[0, -1]).double().cpu().numpy()
        return np.append(logits_V[FIRST_BYTE : FIRST_BYTE + N_BYTES], logits_V[RAW_CLOSE])

    def _latter(self, text: bytearray, n_bytes: int) -> list[int]:
        return [RAW_OPEN, *self._ids(text[len(text) - n_bytes :])]

    def _ids(self, text: bytearray) -> list[int]:
        return [FIRST_BYTE + byte for byte in text]


def draw(logits: NDArray[np.float64], sampling: Sampling, chance: float) -> int:
    """An index into ``logits``; ``chance`` in [0, 1) decides which."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    scaled = (logits - logits.max()) / sampling.temperature
    likeliest = np.argsort(-scaled, kind="stable")
    heaped = np.cumsum(np.exp(scaled[likeliest]))
    # The fewest that reach top_p; the rest is as if it were not there.
    kept = int(np.searchsorted(heaped, sampling.top_p * heaped[-1])) + 1
    heaped = heaped[:kept]
    drawn = min(int(np.searchsorted(heaped, chance * heaped[-1], side="right")), len(heaped) - 1)
    return int(likeliest[drawn])


def uniform(seed: int, index: int) -> float:
    """The draw in [0, 1) for byte ``index``: the same on any machine and with any version of any library."""
    digest = hashlib.blake2b(struct.pack("<qq", seed, index), digest_size=8, person=b"pctrain.sample").digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def until(stream: Iterable[int], stop: bytes) -> Iterator[int]:
    """``stream`` up to ``stop``, which is left out: what may be its beginning is held back till that is known."""
    held = bytearray()
    for byte in stream:
        held.append(byte)
        while not stop.startswith(held):
            yield held.pop(0)
        if stop and held == stop:
            return
    yield from held


def characters(stream: Iterable[int]) -> Iterator[str]:
    """Text as soon as it is whole characters; what is not UTF-8, such as a cut character at the end, becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for byte in stream:
        if text := decoder.decode(bytes([byte])):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest
