"""The ``token-bytes`` codec: ids of a BPE written as two bytes each.

Tokens over the byte alphabet: half the bytes per symbol of BPE, and an output layer of 256 ids. ``code=plain`` writes
the id, the higher byte first. ``code=gray`` sorts the tokens by their bytes and writes the rank in binary reflected
Gray code (Gray 1953, US patent 2,632,058): tokens that are neighbours in that order, which begin alike, differ in a
single bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs import bpe_format
from pcdata.codecs.base import Artifact, Codec, check_units, require_choice, require_range
from pcdata.codecs.bpe import BpeCodec, BpeParameters
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError

_MOST_TOKENS: Final = 1 << 16
_BYTES: Final = 2
"""Symbols per unit."""


@dataclass(frozen=True)
class TokenBytesParameters:
    vocab_size: int = 16_384
    """The most ids that fitting makes, as in ``bpe``."""
    code: str = "plain"
    """How a token becomes two bytes: ``plain`` or ``gray``."""

    def __post_init__(self) -> None:
        require_range("vocab_size", self.vocab_size, 256, _MOST_TOKENS)
        require_choice("code", self.code, ("plain", "gray"))


class TokenBytesCodec(Codec):
    """Tokens of a BPE, each written as two bytes. See the module. Fitted, checked and encoded by ``bpe``; only the
    symbols are written differently."""

    Parameters: ClassVar[type[Any]] = TokenBytesParameters
    units_independent = True

    def __init__(self, parameters: TokenBytesParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        self._bpe = BpeCodec(BpeParameters(parameters.vocab_size), artifact, backends)
        n_tokens = self._bpe.types.n_symbols
        if n_tokens > _MOST_TOKENS:
            raise CodecError(f"token-bytes: the tokenizer has {n_tokens} ids, two bytes hold {_MOST_TOKENS}")
        self.types = ViewTypes(256, self._bpe.types.max_unit_bytes, _BYTES)
        self._codes = np.arange(n_tokens, dtype=np.uint16)
        if parameters.code == "gray":
            self._codes = gray_codes(bpe_format.token_bytes(bpe_format.canonical(artifact[bpe_format.TOKENIZER])))
        self._token_of = np.full(_MOST_TOKENS, n_tokens, np.uint32)
        self._token_of[self._codes] = np.arange(n_tokens)

    # These use no parameter except vocab_size.
    fit = BpeCodec.fit
    read_artifact = BpeCodec.read_artifact
    parameters_in = BpeCodec.parameters_in
    choose_backends = BpeCodec.choose_backends
    versions = BpeCodec.versions

    @classmethod
    def symbols_are_bytes(cls, parameters: TokenBytesParameters) -> bool:
        return True

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        tokens = self._bpe.encode(documents)
        return ViewColumns(
            self._codes[tokens.symbols].astype(">u2").view(np.uint8),
            tokens.symbol_offsets * _BYTES,
            tokens.unit_bytes,
            np.full(len(tokens.unit_bytes), _BYTES, np.uint8),
            tokens.unit_offsets,
        )

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        unit_symbols = check_units("token-bytes", self.types, symbols, unit_bytes, unit_symbols)
        if (unit_symbols != _BYTES).any():
            raise CodecError("token-bytes: every unit is a token of 2 bytes")
        codes = np.frombuffer(symbols.astype(np.uint8, copy=False).tobytes(), ">u2")
        return self._bpe.decode(self._token_of[codes], unit_bytes, None)


def gray_codes(tokens: Sequence[bytes | None]) -> NDArray[np.uint16]:
    """The Gray code of each id's rank among the tokens sorted by their bytes; ids that no text gets come last."""
    in_order = sorted(range(len(tokens)), key=lambda token: (tokens[token] is None, tokens[token] or b"", token))
    ranks = np.empty(len(tokens), np.uint16)
    ranks[in_order] = np.arange(len(tokens))
    codes: NDArray[np.uint16] = ranks ^ (ranks >> np.uint16(1))
    return codes
