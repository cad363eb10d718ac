"""Codecs that only regroup bits: ``doublebyte``, ``halfbyte``, ``doublebit``, ``bit``.

Nothing is compressed. They are controls for a study of compressors: only the length of a symbol changes, and its
meaning is as simple as possible. ``doublebyte`` reads two bytes as one symbol of 16 bits; the other three write each
byte as 2, 4 or 8 symbols, the highest bits first. All run at hundreds of MB/s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.base import Artifact, Codec, check_units, offsets_of
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError

# N bytes, U units


@dataclass(frozen=True)
class NoParameters:
    """No options."""


class _Regrouping(Codec):
    """Shared by the four: no options, no artifact, no library except numpy."""

    Parameters: ClassVar[type[Any]] = NoParameters
    units_independent = True
    name: ClassVar[str]
    """The registered name; for messages."""

    def __init__(self, parameters: NoParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        if artifact:
            raise CodecError(f"{self.name} takes no artifact, and was given {sorted(artifact)}")


class DoubleByteCodec(_Regrouping):
    """Two bytes as one symbol of 16 bits: nothing is compressed, a control.

    A unit is a pair of bytes, the first the higher; a last byte without a partner is a unit of one byte, which is also
    its symbol. Only its length distinguishes it from a pair that begins with NUL."""

    name = "doublebyte"
    types = ViewTypes(1 << 16, 2, 1)

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        even = b"".join(document + b"\0" * (len(document) % 2) for document in documents)
        symbols = np.frombuffer(even, ">u2").astype(np.uint16)
        unit_bytes = np.full(len(symbols), 2, np.uint8)
        offsets = offsets_of([(len(document) + 1) // 2 for document in documents])
        odd = offsets[1:][[len(document) % 2 == 1 for document in documents]] - 1
        symbols[odd] >>= 8
        unit_bytes[odd] = 1
        return ViewColumns(symbols, offsets, unit_bytes, None, offsets)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        if unit_symbols is not None or len(unit_bytes) != len(symbols):
            raise CodecError("doublebyte: every unit is one symbol")
        if (unit_bytes[:-1] != 2).any() or (unit_bytes[-1:] > 2).any() or (unit_bytes[-1:] < 1).any():
            raise CodecError("doublebyte: every unit has 2 bytes, and only the last may have 1")
        raw = symbols.astype(">u2").tobytes()
        if not len(unit_bytes) or unit_bytes[-1] == 2:
            return raw
        if raw[-2]:
            raise CodecError(f"doublebyte: the last symbol is {int(symbols[-1])}, but stands for 1 byte")
        return raw[:-2] + raw[-1:]


class _Pieces(_Regrouping):
    """A unit is a byte, written as pieces of ``bits`` bits."""

    bits: ClassVar[int]

    def __init__(self, parameters: NoParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        super().__init__(parameters, artifact, backends)
        self._n_pieces = 8 // self.bits
        self.types = ViewTypes(1 << self.bits, 1, self._n_pieces)

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        raw_N = np.frombuffer(b"".join(documents), np.uint8)
        offsets = offsets_of([len(document) for document in documents])
        ones = np.ones(len(raw_N), np.uint8)
        symbols = self._table.take(raw_N, axis=0).reshape(-1)
        return ViewColumns(symbols, offsets * self._n_pieces, ones, ones * self._n_pieces, offsets)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        unit_symbols = check_units(self.name, self.types, symbols, unit_bytes, unit_symbols)
        if (unit_bytes != 1).any() or (unit_symbols != self._n_pieces).any():
            raise CodecError(f"{self.name}: every unit is a byte of {self._n_pieces} symbols")
        raw_N = np.zeros(len(unit_bytes), np.uint8)
        for piece_N in symbols.reshape(-1, self._n_pieces).T:
            raw_N <<= np.uint8(self.bits)
            raw_N |= piece_N.astype(np.uint8)
        return raw_N.tobytes()

    @property
    def _table(self) -> NDArray[np.uint8]:
        """The pieces of every byte value. [256, pieces]"""
        shifts = np.arange(8 - self.bits, -1, -self.bits)
        return ((np.arange(256)[:, None] >> shifts) & (self.types.n_symbols - 1)).astype(np.uint8)


class HalfByteCodec(_Pieces):
    """Each byte as two symbols of 4 bits: nothing is compressed, a control."""

    name = "halfbyte"
    bits = 4


class DoubleBitCodec(_Pieces):
    """Each byte as four symbols of 2 bits: nothing is compressed, a control."""

    name = "doublebit"
    bits = 2


class BitCodec(_Pieces):
    """Each byte as eight symbols of 1 bit: nothing is compressed, a control."""

    name = "bit"
    bits = 1
