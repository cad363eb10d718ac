"""The two engines that turn valid UTF-8 into BPE ids, and the choice between them.

``tokenizers`` is the oracle. ``gigatoken`` is some hundred times faster, but young: for splittings it does not know it
refuses or, for ``ByteLevel`` without its regex, gives other ids without a word. So it is taken only where both agree
on a hostile text and on a sample of the corpus. Each engine works on the calling thread: builds run one per process.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final
from unicodedata import ucd_3_2_0

import numpy as np
from numpy.typing import NDArray

from pcdata.errors import CodecError

GIGATOKEN: Final = "gigatoken"
TOKENIZERS: Final = "tokenizers"

_COMPARED_BYTES: Final = 2_000_000
"""Of the sample: about a second of ``tokenizers``."""


class Engine(ABC):
    """Text → ids under one canonical ``tokenizer.json``."""

    @abstractmethod
    def __init__(self, tokenizer: bytes) -> None: ...

    @abstractmethod
    def ids(self, raw: bytes, text: str) -> NDArray[np.uint32]:
        """The ids of one text, which is given both as UTF-8 and decoded."""


class GigatokenEngine(Engine):
    """One call per document: its batch call hands out the same ids by way of awkward, no faster."""

    def __init__(self, tokenizer: bytes) -> None:
        gigatoken = importlib.import_module("gigatoken")
        self._encode: Callable[[bytes], NDArray[np.uint32]] = gigatoken.Tokenizer.from_json(tokenizer).backend.encode

    def ids(self, raw: bytes, text: str) -> NDArray[np.uint32]:
        return self._encode(raw)


class TokenizersEngine(Engine):
    """A batch of one: the single ``encode`` also computes offsets, and a longer batch would start threads."""

    def __init__(self, tokenizer: bytes) -> None:
        tokenizers = importlib.import_module("tokenizers")
        self._tokenizer: Any = tokenizers.Tokenizer.from_buffer(tokenizer)

    def ids(self, raw: bytes, text: str) -> NDArray[np.uint32]:
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoding.ids, np.uint32)


ENGINES: Mapping[str, type[Engine]] = {GIGATOKEN: GigatokenEngine, TOKENIZERS: TokenizersEngine}


def open_engine(name: str, tokenizer: bytes) -> Engine:
    """Raises ``CodecError`` if there is no such engine here, or it cannot use the tokenizer."""
    if name not in ENGINES:
        raise CodecError(f"bpe: unknown engine {name!r}; known: {', '.join(ENGINES)}")
    version_of(name)
    try:
        return ENGINES[name](tokenizer)
    except Exception as error:  # neither library says which errors it raises; tokenizers raises Exception itself
        raise CodecError(f"bpe: {name} cannot load this {len(tokenizer)} byte tokenizer.json: {error}") from None


def version_of(name: str) -> str:
    """Raises ``CodecError`` if the engine is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise CodecError(
            f"this view was encoded with {name}, which is not installed here; pip install {name}, or rebuild the view"
        ) from None


def choose(tokenizer: bytes, sample: Sequence[bytes]) -> str:
    """``gigatoken`` if it is here and gives the ids that ``tokenizers`` gives, else ``tokenizers``."""
    oracle = open_engine(TOKENIZERS, tokenizer)
    try:
        candidate = open_engine(GIGATOKEN, tokenizer)
        agree = all(_agree(candidate, oracle, text) for text in [hostile_text(), *_compared(sample)])
    except CodecError:
        return TOKENIZERS
    except BaseException as error:
        # What a Rust panic raises derives from BaseException and has no importable name.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        return TOKENIZERS
    return GIGATOKEN if agree else TOKENIZERS


def _agree(candidate: Engine, oracle: Engine, text: str) -> bool:
    raw = text.encode()
    return np.array_equal(candidate.ids(raw, text), oracle.ids(raw, text))


def _compared(sample: Sequence[bytes]) -> list[str]:
    left = _COMPARED_BYTES
    texts = []
    for document in sample:
        texts.append(document[:left].decode(errors="ignore"))
        left -= min(left, len(document))
        if not left:
            break
    return texts


def hostile_text() -> str:
    """Whatever splittings treat in different ways: every kind of space, letter, number, mark and apostrophe.

    Only characters of Unicode 3.2, which any library knows: gigatoken 0.10 and tokenizers 0.23 follow different
    versions of Unicode and disagree on 359 code points, all of them unassigned in version 14.
    """
    points = [*range(0x3100), *range(0x3100, 0xD800, 61), *range(0xE000, 0x10000, 3), *range(0x10000, 0x1F700, 5)]
    characters = (chr(point) for point in points if ucd_3_2_0.category(chr(point)) != "Cn")
    in_context = (f"  {c}  1{c}a{c}\n{c}'s" for c in characters)
    lines = (
        "don't DON'T you'll YOU'LL 'tis ''s s's ’s I'VE x'd 'M",
        "0 00 000 0000 12345678901234567890 1.5e-10 0xdeadbeef ١٢٣٤ ¼½ Ⅷ ²³",
        "\ufeffbom \r\r\n\n\r \t\t \v\f\x1c\x85\u2028\u2029 \u3000\u00a0 end   \n   \n\n\n    indented",
        "👩‍👩‍👧‍👦🏳️‍🌈👍🏽 e\u0301\u0323 \u200b\u200d\u200e \U0010ffff\ue000 ſİßŉ",
        "<|endoftext|> [UNK] <s></s> </w> ## ▁ Ġ Ċ Ā",
        "_" * 300 + "=" * 300 + " " * 300 + "\n" * 300 + "a" * 3000 + "-" * 5000,
        'snake_case camelCase HTTPServer __init__ self.x += [i**2 for i in (1,2)] # TODO: """doc""" f\'{x!r:>10}\'',
    )
    return "\n".join(lines) + "".join(in_context)
