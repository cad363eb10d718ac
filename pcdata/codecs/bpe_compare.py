"""Do tokens stand for the bytes at their places? For many at once, in a twentieth of the time that decoding takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset.views import Unsigned

_WORD = 8
_WORDS = 2
"""So many bytes of a token are compared as numbers; 99 % of tokens have no more, and the others are compared one by
one."""
_AT_ONCE = 1 << 15
"""Tokens. What is made of so few stays in the processor's cache."""


class TokenComparer:
    """The bytes of every token, in words."""

    def __init__(self, tokens: Sequence[bytes | None]) -> None:
        self._tokens = [token or b"" for token in tokens]
        self._lengths = np.array([len(token) for token in self._tokens], np.int64)
        parts = [[token[at : at + _WORD] for token in self._tokens] for at in range(0, _WORDS * _WORD, _WORD)]
        self._words = [_as_words(some) for some in parts]
        self._masks = [_as_words([b"\xff" * len(part) for part in some]) for some in parts]

    def differ(self, raw: bytes, symbols: Unsigned, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which tokens are not what ``raw`` has where they start. They must start, and symbols be, within bounds."""
        padded = raw + bytes(_WORDS * _WORD)
        # At every byte, it and the seven after it as one number: not aligned, which NumPy can read.
        words = np.ndarray(len(padded) - _WORD + 1, np.uint64, padded, strides=(1,))
        wrong = np.zeros(len(symbols), np.bool_)
        for first in range(0, len(symbols), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            wrong[some] = self._some_differ(raw, words, symbols[some], starts[some])
        return wrong

    def _some_differ(
        self, raw: bytes, words: NDArray[np.uint64], symbols: Unsigned, starts: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        wrong: NDArray[np.bool_] = words[starts] & self._masks[0].take(symbols) != self._words[0].take(symbols)
        lengths = self._lengths.take(symbols)
        for number in range(1, _WORDS):
            longer = np.flatnonzero(lengths > number * _WORD)
            found = words[starts[longer] + number * _WORD] & self._masks[number].take(symbols[longer])
            wrong[longer] |= found != self._words[number].take(symbols[longer])
        for place in np.flatnonzero(lengths > _WORDS * _WORD).tolist():
            wrong[place] |= not raw.startswith(self._tokens[symbols[place]], int(starts[place]))
        return wrong


def _as_words(parts: list[bytes]) -> NDArray[Any]:
    return np.frombuffer(b"".join(part.ljust(_WORD, b"\0") for part in parts), np.uint64)
