"""The ``words`` codec: the most frequent words of a corpus are one symbol each, every other byte is one too.

A codec in a package of its own; pcdata finds it by the entry point in ``pyproject.toml``. CONTRIBUTING.md tells how to
write another one from it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

import numpy as np

from pcdata.codecs.base import Artifact, Codec, offsets_of, require_range
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError

WORDS = "words.txt"
"""The artifact's one file: a word per line, the most frequent first."""

_PIECE = re.compile(rb"[A-Za-z_]{2,64}|.", re.DOTALL)
"""Cuts any bytes into words and single bytes: nothing is left out, so nothing can be lost."""


@dataclass(frozen=True)
class WordsParameters:
    words: int = 4096
    """The most words that get a symbol; a small sample has fewer."""

    def __post_init__(self) -> None:
        require_range("words", self.words, 1, 1 << 20)


class WordsCodec(Codec):
    """Symbols 0 … 255 are the bytes, those that follow are the words. A unit is one symbol."""

    Parameters: ClassVar[type[Any]] = WordsParameters
    units_independent = True

    def __init__(self, parameters: WordsParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        words = _words(artifact)
        self._pieces = [*(bytes([byte]) for byte in range(256)), *words]
        self._symbols = {word: 256 + rank for rank, word in enumerate(words)}
        lengths = [len(piece) for piece in self._pieces]
        self.types = ViewTypes(n_symbols=len(lengths), max_unit_bytes=max(lengths), max_unit_symbols=1)
        self._lengths = np.array(lengths, self.types.unit_bytes_dtype)

    @classmethod
    def fit(cls, parameters: WordsParameters, sample: Sequence[bytes]) -> Artifact:
        counts = Counter(piece for document in sample for piece in _PIECE.findall(document) if len(piece) > 1)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))  # equal counts too have one order
        return {WORDS: b"".join(word + b"\n" for word in ranked[: parameters.words])}

    @classmethod
    def parameters_in(cls, artifact: Artifact) -> Mapping[str, Any]:
        return {"words": len(_words(artifact))}

    @classmethod
    def versions(cls, backends: Mapping[str, str]) -> dict[str, str]:
        return {"pcdata-words": metadata.version("pcdata-words")}

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        encoded = [self._encode(document) for document in documents]
        symbols: Unsigned = np.array([symbol for of_one in encoded for symbol in of_one], self.types.symbol_dtype)
        offsets = offsets_of([len(of_one) for of_one in encoded])
        return ViewColumns(symbols, offsets, self._lengths[symbols], None, offsets)

    def _encode(self, document: bytes) -> list[int]:
        symbols: list[int] = []
        for piece in _PIECE.findall(document):
            word = self._symbols.get(piece)
            symbols += piece if word is None else [word]  # a bytes object is a sequence of its bytes' symbols
        return symbols

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        if unit_symbols is not None or int(symbols.max(initial=0)) >= len(self._pieces):
            raise CodecError(f"words: every unit is one of {len(self._pieces)} symbols")
        if not np.array_equal(self._lengths[symbols], unit_bytes):
            raise CodecError("words: the units' lengths are not those of the words")
        return b"".join(self._pieces[symbol] for symbol in symbols.tolist())


def _words(artifact: Artifact) -> list[bytes]:
    """The words of an artifact. Raises ``CodecError`` if ``fit`` cannot have made it."""
    if set(artifact) != {WORDS}:
        raise CodecError(f"words needs one artifact file, {WORDS}, and was given {sorted(artifact)}")
    words = artifact[WORDS].splitlines()
    if len(set(words)) != len(words) or not all(len(word) > 1 and _PIECE.fullmatch(word) for word in words):
        raise CodecError(f"words: {WORDS} must have another word of 2 to 64 letters in each line")
    return words
