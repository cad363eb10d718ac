"""The ``bpe`` codec: documents as ids of a byte-level BPE, one id per unit.

Bytes that are not UTF-8 follow one rule, applied before either engine sees them: a document is split into the longest
runs of valid UTF-8 and the bytes between them. A run is encoded as a separate text; every other byte is the token of
that byte. Which bytes are valid is what Python's strict decoder says (RFC 3629: no surrogates, nothing overlong).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs import bpe_engines, bpe_format
from pcdata.codecs.base import Artifact, Codec, offsets_of, require_range
from pcdata.codecs.bpe_compare import TokenComparer
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError

_ENGINE = "engine"
_DECODED_AT_ONCE = 1 << 16
"""Symbols. As Python objects they take ten times the memory, so a whole document is never converted."""
_LONGEST_WORD = 1024
"""Bytes, in fitting. The longest word of the Python 3.11 standard library has 201. One word of 250 kB in 0.5 MB of it
takes 0.7 s if cut at 256 or 1,024, 1.4 s at 4,096, and 16 s whole. One word of 3 MB takes 11 s, cut at any of these;
whole, it did not end in half an hour."""
_RUNS = re.compile("([\udc80-\udcff]+)")
"""Bytes that are not UTF-8, as decoded by ``surrogateescape``."""


@dataclass(frozen=True)
class BpeParameters:
    """On the Python 3.11 standard library (31.5 MB), fitted on 16 MB of it; symbols counted in 0.75 MB of val:

    ========== ============== ============ =========== ===============
    vocab_size bytes a symbol symbols used bits/symbol colliding units
    ========== ============== ============ =========== ===============
    4,096      3.35           3,311        8.85        0 %
    16,384     3.81           6,455        8.90        0 %
    65,536     3.98           7,467        8.86        0 %
    ========== ============== ============ =========== ===============

    For comparison, ``ngram`` has 4.87 bytes a symbol, uses 21,934 of 65,536 symbols, and 45 % of its units collide.
    """

    vocab_size: int = 16_384
    """The most ids that fitting makes; a small sample gives fewer. For a given tokenizer.json, the number it has."""

    def __post_init__(self) -> None:
        require_range("vocab_size", self.vocab_size, 256, bpe_format.MOST_SYMBOLS)


class BpeCodec(Codec):
    """Tokens of a byte-level BPE. See the module. Decoding needs no engine; the first ``encode`` opens it."""

    Parameters: ClassVar[type[Any]] = BpeParameters
    units_independent = True

    def __init__(self, parameters: BpeParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        if set(artifact) != {bpe_format.TOKENIZER}:
            raise CodecError(f"bpe needs one artifact file, {bpe_format.TOKENIZER}, and was given {sorted(artifact)}")
        self._tokenizer = bpe_format.canonical(artifact[bpe_format.TOKENIZER])
        self._backends = backends
        self._tokens = bpe_format.token_bytes(self._tokenizer)
        lengths = [len(token or b"") for token in self._tokens]
        self.types = ViewTypes(len(lengths), max(lengths), 1)
        self._lengths = np.array(lengths, self.types.unit_bytes_dtype)
        symbol_of = {token: symbol for symbol, token in enumerate(self._tokens)}
        self._byte_symbols = np.array([symbol_of[bytes([byte])] for byte in range(256)], np.uint32)

    @classmethod
    def fit(cls, parameters: BpeParameters, sample: Sequence[bytes]) -> Artifact:
        """Train with ``tokenizers``, on text without the bytes that are not UTF-8.

        For fitting, words longer than ``_LONGEST_WORD`` bytes are cut: training takes quadratic time in a word's
        length, and would not end for a line of 3 MB without a space or a letter (data as text).
        """
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

        splitting = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = splitting
        if any(map(may_hold_words_above(_LONGEST_WORD).search, sample)):  # cutting doubles the time of splitting
            cutting = pre_tokenizers.Split(Regex(f"(?m:.{{1,{_LONGEST_WORD}}})"), "isolated")
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([splitting, cutting])
        trainer = trainers.BpeTrainer(
            vocab_size=parameters.vocab_size,
            initial_alphabet=list(bpe_format.byte_characters()),
            special_tokens=[],
            show_progress=False,
        )
        tokenizer.train_from_iterator((document.decode(errors="ignore") for document in sample), trainer)
        tokenizer.pre_tokenizer = splitting
        return {bpe_format.TOKENIZER: bpe_format.canonical(tokenizer.to_str().encode())}

    @classmethod
    def read_artifact(cls, path: Path) -> Artifact:
        """Read a ``tokenizer.json`` of any name, or the one in a folder, and keep its canonical form."""
        file = path / bpe_format.TOKENIZER if path.is_dir() else path
        (data,) = super().read_artifact(file).values()
        return {bpe_format.TOKENIZER: bpe_format.canonical(data)}

    @classmethod
    def parameters_in(cls, artifact: Artifact) -> Mapping[str, Any]:
        return {"vocab_size": len(bpe_format.token_bytes(bpe_format.canonical(artifact[bpe_format.TOKENIZER])))}

    @classmethod
    def choose_backends(cls, parameters: BpeParameters, artifact: Artifact, sample: Sequence[bytes]) -> dict[str, str]:
        return {_ENGINE: bpe_engines.choose(bpe_format.canonical(artifact[bpe_format.TOKENIZER]), sample)}

    @classmethod
    def versions(cls, backends: Mapping[str, str]) -> dict[str, str]:
        engine = backends.get(_ENGINE, bpe_engines.TOKENIZERS)
        return {engine: bpe_engines.version_of(engine)}

    @cached_property
    def _engine(self) -> bpe_engines.Engine:
        return bpe_engines.open_engine(self._backends.get(_ENGINE, bpe_engines.TOKENIZERS), self._tokenizer)

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        are_text = [*map(_is_text, documents)]
        of_text = iter(self._engine.all_ids([*compress(documents, are_text)]))
        ids = [
            next(of_text) if is_text else self._ids_of_mixed(document)
            for document, is_text in zip(documents, are_text, strict=True)
        ]
        symbols: Unsigned = np.empty(sum(map(len, ids)), self.types.symbol_dtype)
        if ids:
            np.concatenate(ids, out=symbols, casting="same_kind")
        offsets = offsets_of([len(document_ids) for document_ids in ids])
        return ViewColumns(symbols, offsets, self._lengths.take(symbols), None, offsets)

    def _ids_of_mixed(self, document: bytes) -> NDArray[np.uint32]:
        runs = _RUNS.split(document.decode(errors="surrogateescape"))
        texts = self._engine.all_ids([run.encode() for run in runs[::2]])
        between = [run.encode(errors="surrogateescape") for run in runs[1::2]]
        of_bytes = [self._byte_symbols[np.frombuffer(raw, np.uint8)] for raw in between]
        return np.concatenate([*chain.from_iterable(zip(texts, of_bytes, strict=False)), texts[-1]])

    def faults(
        self, documents: Sequence[bytes], columns: ViewColumns, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """Without decoding: each token is compared with the bytes at its place. Only what differs is decoded, for the
        message."""
        n_units = int(columns.unit_offsets[-1])
        symbols, unit_bytes = columns.symbols[:n_units], columns.unit_bytes[:n_units]
        if len(symbols) and int(symbols.max()) >= len(self._tokens):
            yield from super().faults(documents, columns, rows)
            return
        wrong = np.flatnonzero(self._lengths.take(symbols) != unit_bytes)
        wrong = np.append(wrong, self._comparer.differ(documents, symbols, unit_bytes))
        in_rows = set(np.searchsorted(columns.unit_offsets, wrong, side="right") - 1)
        suspected = [row for row in rows if row in in_rows]
        yield from super().faults(documents, columns, suspected)

    @cached_property
    def _comparer(self) -> TokenComparer:
        return TokenComparer(self._tokens)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        if unit_symbols is not None:
            raise CodecError("bpe: every unit is one symbol, but lengths of units were given")
        if len(symbols) and int(symbols.max()) >= len(self._tokens):
            raise CodecError(f"bpe: symbol {int(symbols.max())} is not one of {len(self._tokens)}")
        if not np.array_equal(self._lengths[symbols], unit_bytes):
            raise CodecError("bpe: the units' lengths are not those of the tokens")
        try:
            return b"".join(
                b"".join(map(self._tokens.__getitem__, symbols[start : start + _DECODED_AT_ONCE].tolist()))  # type: ignore[arg-type]
                for start in range(0, len(symbols), _DECODED_AT_ONCE)
            )
        except TypeError:
            raise CodecError("bpe: a symbol stands for no token") from None


def _is_text(document: bytes) -> bool:
    try:
        document.decode()
    except UnicodeDecodeError:
        return False
    return True


def may_hold_words_above(n_bytes: int) -> re.Pattern[bytes]:
    """Finds something in every document in which ``ByteLevel`` sees a word of more than ``n_bytes``, and in hardly any
    other: such a word has no space or line end except one space before it, or consists of nothing else."""
    # Runs are matched from their beginnings only; otherwise many that are just too short would take long.
    return re.compile(rb"(?<![^ \n])[^ \n]{%(n)d}|(?<![\s\x80-\xff])[\s\x80-\xff]{%(n)d}" % {b"n": n_bytes})
