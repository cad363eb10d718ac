"""Weights → text: raw bytes after a raw prompt, one at a time, or several where heads guess further bytes correctly.

The model sees what it saw in training: ``[BOS] <raw-open> bytes``. When the window is full, the latter half of the text
continues after a new open mark. Only bytes and the raw-close mark, which ends the document, can be drawn.
"""

from __future__ import annotations

import codecs
import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile, zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdata.dataset.vocab import BOS, FIRST_BYTE, N_BYTES, RAW_CLOSE, RAW_OPEN
from pctrain.errors import ConfigError
from pctrain.model.blocks import Cache
from pctrain.model.decoder import LanguageModel

END = N_BYTES
"""The end of the document, drawn like the bytes 0 … 255."""


@dataclass(frozen=True)
class Sampling:
    """How the next byte is drawn."""

    max_bytes: int = 500
    temperature: float = 0.8
    """0 takes the most likely byte."""
    top_p: float = 1.0
    """Draw among the most likely bytes that together have this probability."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ConfigError(f"--max-bytes must be at least 1, got {self.max_bytes}")
        if not self.temperature >= 0:
            raise ConfigError(f"--temperature must be at least 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"--top-p must be above 0 and at most 1, got {self.top_p}")


class Generation:
    """Bytes after ``prompt``, as they are drawn, until the document ends or ``max_bytes`` are made. Iterate once.

    ``window`` is how many positions the model sees: the run's seq_len. A model with further heads drafts: they guess
    the bytes after the next one, the next pass is shown the guesses, too, and keeps those that it would have drawn
    itself (Stern et al. 2018, *Blockwise Parallel Decoding*). Each byte's random number is fixed beforehand and used
    for its guess as well, so at any temperature the text is the same as without drafting, except for rounding of the
    logits.
    """

    def __init__(
        self, model: LanguageModel, prompt: bytes, sampling: Sampling, window: int, *, drafts: bool = True
    ) -> None:
        self._sampling = sampling
        self._drafts = drafts
        self._text = bytearray(prompt)
        # No more than can be shown, with two marks and all guesses: the window may come from a stranger.
        longest = 2 + len(prompt) + sampling.max_bytes + max(model.config.predict_heads, model.config.raw_predict_heads)
        self._context = _Context(model, min(window, longest))
        self.bytes_made = 0
        self.passes = 0
        """Forward passes of the model so far."""

    @property
    def cache(self) -> str:
        """How much the model remembers, in words; empty if that is just the window."""
        return self._context.cache

    def __iter__(self) -> Iterator[int]:
        guesses: list[int] = []
        while self.bytes_made < self._sampling.max_bytes:
            states_TD, guesses = self._context.show(self._text, guesses)
            self.passes += 1
            accepted = 0
            for state_D, guess in zip_longest(states_TD, guesses):
                drawn = self._draw(self._context.logits(state_D), 0)
                if drawn == END:
                    return
                self._text.append(drawn)
                self.bytes_made += 1
                yield drawn
                if drawn != guess or self.bytes_made == self._sampling.max_bytes:
                    break
                accepted += 1
            self._context.forget(len(guesses) - accepted)
            guesses = self._guess(state_D) if self._drafts else []

    def _guess(self, state_D: Tensor) -> list[int]:
        """The bytes after the one that was drawn from ``state_D``, until the document seems to end."""
        guesses = (self._draw(logits, k) for k, logits in enumerate(self._context.further(state_D)))
        return list(takewhile(lambda guess: guess != END, guesses))

    def _draw(self, logits: NDArray[np.float64], ahead: int) -> int:
        """The byte ``ahead`` of the next one."""
        return draw(logits, self._sampling, uniform(self._sampling.seed, self.bytes_made + ahead))


class _Context:
    """The model's window: what it was shown of the text so far.

    Legend: T new positions whose states are needed, D width.
    """

    def __init__(self, model: LanguageModel, window: int) -> None:
        self._model = model
        self._window = window
        self._cache: Cache | None = None
        self._shown = 0

    @property
    def cache(self) -> str:
        return "" if self._cache is None else self._cache.description

    @torch.inference_mode()
    def show(self, text: bytearray, guesses: list[int]) -> tuple[Tensor, list[int]]:
        """Show what is new in ``text`` and, as far as the window allows, the guesses after it.

        Returns the states of the last byte and of the guesses shown [T, D], and those guesses.
        """
        if self._cache is None:
            inputs = [BOS, RAW_OPEN, *self._ids(text)]
            if len(inputs) > self._window:
                inputs = self._latter(text, self._window - 1)
            self._cache = self._model.new_cache(self._window)
        else:
            inputs = self._ids(text[self._shown :])
            if self._cache.length + len(inputs) > self._window:
                inputs = self._latter(text, self._window // 2)
                self._cache = self._model.new_cache(self._window)
        guesses = guesses[: self._window - self._cache.length - len(inputs)]
        self._shown = len(text) + len(guesses)
        asked = torch.tensor([inputs + self._ids(guesses)], device=self._model.embed.weight.device)
        return self._model.hidden(asked, cache=self._cache)[0, len(inputs) - 1 :], guesses

    def forget(self, count: int) -> None:
        """Remove the last guesses that were shown."""
        assert self._cache is not None
        self._cache.forget(count)
        self._shown -= count

    @torch.inference_mode()
    def logits(self, state_D: Tensor) -> NDArray[np.float64]:
        """Logits of the next byte and END."""
        return self._of_bytes(self._model.raw_logits(state_D))

    @torch.inference_mode()
    def further(self, state_D: Tensor) -> list[NDArray[np.float64]]:
        """The same from each further head."""
        return [self._of_bytes(logits_V) for logits_V in self._model.further_logits(state_D)]

    @staticmethod
    def _of_bytes(logits_V: Tensor) -> NDArray[np.float64]:
        logits = logits_V.double().cpu().numpy()
        return np.append(logits[FIRST_BYTE : FIRST_BYTE + N_BYTES], logits[RAW_CLOSE])

    def _latter(self, text: bytearray, n_bytes: int) -> list[int]:
        return [RAW_OPEN, *self._ids(text[len(text) - n_bytes :])]

    def _ids(self, text: bytearray | list[int]) -> list[int]:
        return [FIRST_BYTE + byte for byte in text]


def draw(logits: NDArray[np.float64], sampling: Sampling, chance: float) -> int:
    """An index into ``logits``; ``chance`` in [0, 1) decides which."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    scaled = (logits - logits.max()) / sampling.temperature
    likeliest = np.argsort(-scaled, kind="stable")
    heaped = np.cumsum(np.exp(scaled[likeliest]))
    # The fewest that reach top_p; the others are ignored.
    kept = int(np.searchsorted(heaped, sampling.top_p * heaped[-1])) + 1
    heaped = heaped[:kept]
    drawn = min(int(np.searchsorted(heaped, chance * heaped[-1], side="right")), len(heaped) - 1)
    return int(likeliest[drawn])


def uniform(seed: int, index: int) -> float:
    """The random number in [0, 1) for byte ``index``: the same on any machine and with any library version."""
    digest = hashlib.blake2b(struct.pack("<qq", seed, index), digest_size=8, person=b"pctrain.sample").digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def until(stream: Iterable[int], stop: bytes) -> Iterator[int]:
    """``stream`` up to, but without, ``stop``. Bytes that may be its beginning are held back until that is known."""
    held = bytearray()
    for byte in stream:
        held.append(byte)
        while not stop.startswith(held):
            yield held.pop(0)
        if stop and held == stop:
            return
    yield from held


def characters(stream: Iterable[int]) -> Iterator[str]:
    """Text as soon as its characters are complete; bytes that are not UTF-8 become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for byte in stream:
        if text := decoder.decode(bytes([byte])):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest
