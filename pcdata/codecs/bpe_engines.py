"""The two engines that turn valid UTF-8 into BPE ids, and the choice between them.

``tokenizers`` is the reference. ``gigatoken`` is about a hundred times faster, but young: it rejects splittings that it
does not know, or, for ``ByteLevel`` without its regex, silently gives other ids. So it is used only if both agree on a
hostile text and on a sample of the corpus. Each engine runs on the calling thread: builds run one per process.

A ``tokenizer.json`` may be untrusted, and its pattern may take unbounded time. ``gigatoken`` has its own code for each
pattern that it knows, and rejects all others. ``tokenizers`` runs any pattern, so it does that in a process with
limits.
"""

from __future__ import annotations

import importlib
import os
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final
from unicodedata import ucd_3_2_0

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.base import beginning
from pcdata.codecs.bpe_format import TOKENIZER, splits_by_pattern
from pcdata.errors import CodecError
from pcdata.processes.isolated import Died, Isolated, Limits, Send, has_limits, in_batches, limit_cpu

GIGATOKEN: Final = "gigatoken"
TOKENIZERS: Final = "tokenizers"

_COMPARED_BYTES: Final = 2_000_000
"""Bytes of the sample: ``tokenizers`` takes about a second."""

_LIMITS: Final = Limits(memory_bytes=4_000_000_000)
"""A text takes about 400 times its size."""
_SENT_BYTES: Final = 1 << 17
_SHOWN: Final = 200
_NONE: Final = np.zeros(0, np.uint32)


@dataclass(frozen=True)
class Patience:
    """How much processor time texts may take."""

    each_seconds: float
    """For each text, or for loading the tokenizer, in addition to the time for its bytes."""
    all_seconds: float
    """For all texts together, in addition to the time for their bytes."""
    byte_seconds: float


_PATIENCE: Final = Patience(each_seconds=5, all_seconds=60, byte_seconds=20e-6)
"""The patterns of GPT-4, GPT-4o, Qwen and DeepSeek take up to 1 s per MB in their worst case."""


class Engine(ABC):
    """Text → ids under one canonical ``tokenizer.json``."""

    @abstractmethod
    def __init__(self, tokenizer: bytes) -> None: ...

    @abstractmethod
    def ids(self, text: bytes) -> NDArray[np.uint32]:
        """The ids of one text, which is in UTF-8. Raises ``CodecError``."""

    def all_ids(self, texts: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        """The ids of several texts."""
        return [*map(self.ids, texts)]


class GigatokenEngine(Engine):
    """One call per document: its batch call returns the same ids through awkward arrays, no faster."""

    def __init__(self, tokenizer: bytes) -> None:
        gigatoken = importlib.import_module("gigatoken")
        with _refused(GIGATOKEN, "load it"):
            self._encode: Callable[[bytes], NDArray[np.uint32]] = gigatoken.Tokenizer.from_json(
                tokenizer
            ).backend.encode

    def ids(self, text: bytes) -> NDArray[np.uint32]:
        with _refused(GIGATOKEN, f"encode {len(text):,} bytes"):
            return self._encode(text)


class TokenizersEngine(Engine):
    """A batch of one: the single ``encode`` also computes offsets, and a longer batch would start threads."""

    def __init__(self, tokenizer: bytes) -> None:
        tokenizers = importlib.import_module("tokenizers")
        with _refused(TOKENIZERS, "load it"):
            self._tokenizer: Any = tokenizers.Tokenizer.from_buffer(tokenizer)

    def ids(self, text: bytes) -> NDArray[np.uint32]:
        with _refused(TOKENIZERS, f"encode {len(text):,} bytes"):
            (encoding,) = self._tokenizer.encode_batch_fast([text.decode()], add_special_tokens=False)
        return np.array(encoding.ids, np.uint32)


class IsolatedTokenizersEngine(Engine):
    """The same in a separate process."""

    def __init__(self, tokenizer: bytes) -> None:
        self._process = Isolated(_Tokenizing, tokenizer, _PATIENCE, limits=_LIMITS)
        weakref.finalize(self, self._process.close)
        self._ask([], "load it")

    def ids(self, text: bytes) -> NDArray[np.uint32]:
        (ids,) = self.all_ids([text])
        return ids

    def all_ids(self, texts: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        found: list[NDArray[np.uint32]] = []
        for some in in_batches(texts, _SENT_BYTES):
            found += self._ask(some, f"encode {sum(map(len, some)):,} bytes")
        return found

    def _ask(self, texts: list[bytes], what: str) -> list[NDArray[np.uint32]]:
        if self._process.connection.closed:
            raise _refusal(TOKENIZERS, what, "its process was ended")
        try:
            ((ids, ends),) = self._process.ask(texts)
        except Died as death:
            self._process.close()
            raise _refusal(TOKENIZERS, what, f"the process {death}") from None
        return np.split(np.frombuffer(ids, np.uint32), ends[:-1]) if texts else []


class _Tokenizing:
    """In the separate process. Raises ``CodecError``."""

    def __init__(self, tokenizer: bytes, patience: Patience) -> None:
        # The library also prints the panic that is raised here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        self._patience = patience
        self._bytes = 0
        self._begun = time.process_time()
        self._limit(0)
        self._engine = TokenizersEngine(tokenizer)

    def __call__(self, texts: list[bytes], send: Send) -> None:
        self._limit(sum(map(len, texts)))
        found = self._engine.all_ids(texts)
        send((np.concatenate([*found, _NONE]).tobytes(), np.cumsum([len(ids) for ids in found]).tolist()))

    def _limit(self, n_bytes: int) -> None:
        self._bytes += n_bytes
        allowed = self._patience
        each = time.process_time() + allowed.each_seconds + n_bytes * allowed.byte_seconds
        limit_cpu(min(each, self._begun + allowed.all_seconds + self._bytes * allowed.byte_seconds))


ENGINES: Mapping[str, type[Engine]] = {GIGATOKEN: GigatokenEngine, TOKENIZERS: TokenizersEngine}


def open_engine(name: str, tokenizer: bytes) -> Engine:
    """Raises ``CodecError`` if there is no such engine here, or it cannot use the tokenizer."""
    if name not in ENGINES:
        raise CodecError(f"bpe: unknown engine {name!r}; known: {', '.join(ENGINES)}")
    version_of(name)
    if name == TOKENIZERS and splits_by_pattern(tokenizer) and not has_limits():
        return IsolatedTokenizersEngine(tokenizer)  # a process with limits of its own needs no other
    return ENGINES[name](tokenizer)


@contextmanager
def _refused(name: str, what: str) -> Iterator[None]:
    """Neither library documents its errors; tokenizers raises ``Exception`` itself. A Rust panic derives from
    ``BaseException`` and has no importable name."""
    try:
        yield
    except MemoryError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _refusal(name, what, str(error)) from None


def _refusal(name: str, what: str, why: str) -> CodecError:
    shown = " ".join(why.split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return CodecError(f"bpe: {TOKENIZER} cannot be used: {name} cannot {what}: {shown}")


def version_of(name: str) -> str:
    """Raises ``CodecError`` if the engine is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise CodecError(
            f"this view was encoded with {name}, which is not installed here; pip install {name}, or rebuild the view"
        ) from None


def choose(tokenizer: bytes, sample: Sequence[bytes]) -> str:
    """``gigatoken`` if it is installed and gives the same ids as ``tokenizers``, otherwise ``tokenizers``. Raises
    ``CodecError`` if ``tokenizers`` cannot use the tokenizer."""
    oracle = open_engine(TOKENIZERS, tokenizer)
    try:
        candidate = open_engine(GIGATOKEN, tokenizer)
    except CodecError:
        return TOKENIZERS
    compared = (document.decode(errors="ignore") for document in beginning(sample, _COMPARED_BYTES))
    agree = all(_agree(candidate, oracle, text) for text in [hostile_text(), *compared])
    return GIGATOKEN if agree else TOKENIZERS


def _agree(candidate: Engine, oracle: Engine, text: str) -> bool:
    right = oracle.ids(text.encode())
    try:
        return np.array_equal(candidate.ids(text.encode()), right)
    except CodecError:
        return False


def hostile_text() -> str:
    """Text that splittings treat differently: every kind of space, letter, number, mark and apostrophe.

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
