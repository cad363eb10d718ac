"""The ``gzip`` codec: documents as the bytes of deflate, one stream per document, flushed after every unit.

The stream is deflate (RFC 1951) without gzip's header and checksum, which would be the same 18 bytes around every
document; nothing in it depends on the time. A partial flush ends each unit: it is zlib's cheapest flush after which
all bytes so far decode; ``Z_BLOCK`` holds some back. zlib decodes, whichever library compressed.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from pcdata.codecs.base import Artifact, Codec, byte_columns, check_units, fixed_units, require_choice, require_range
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError
from pcdata.extras import require

_RAW_DEFLATE: Final = -15
"""zlib's window bits: 32 KiB, negative for a stream without header."""


_ZLIB: Final = "zlib"
_ZLIB_NG: Final = "zlib-ng"


@dataclass(frozen=True)
class GzipParameters:
    level: int = 6
    """Compression level of zlib, 1 … 9."""
    size: int = 192
    """Raw bytes per unit, exact except for the last of a document. On the Python standard library 192, 256 and 512 give
    3.78, 3.87 and 4.05 bytes a symbol, and 24, 36 and 26 % of padding where pairs fill rows of 512 (2.9, 4.0 and 7.9 %
    at 4,096); at 512 no pair fits into such rows."""
    backend: str = "zlib"
    """The implementation: ``zlib`` or ``zlib-ng``. A parameter, because they write different bytes at the same level.
    At level 6 on 12.6 MB of the standard library, units of 192 bytes: 23 MB/s and 3.24 bytes a symbol with zlib, 23 and
    3.14 with zlib-ng (flushing costs more than matching); units of 4,096: 36 and 3.89, 54 and 3.89."""

    def __post_init__(self) -> None:
        require_range("level", self.level, 1, 9)
        require_range("size", self.size, 64, 65_536)
        require_choice("backend", self.backend, (_ZLIB, _ZLIB_NG))


class GzipCodec(Codec):
    """Flushed blocks of one deflate stream. See the module."""

    Parameters: ClassVar[type[Any]] = GzipParameters
    units_independent = False

    def __init__(self, parameters: GzipParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        if artifact:
            raise CodecError(f"gzip takes no artifact, and was given {sorted(artifact)}")
        self._parameters = parameters
        self.types = ViewTypes(256, parameters.size, _most_compressed_bytes(parameters.size, parameters.backend))

    @classmethod
    def symbols_are_bytes(cls, parameters: GzipParameters) -> bool:
        return True

    @classmethod
    def choose_backends(cls, parameters: GzipParameters, artifact: Artifact, sample: Sequence[bytes]) -> dict[str, str]:
        return {"deflate": parameters.backend}

    @classmethod
    def versions(cls, backends: Mapping[str, str]) -> dict[str, str]:
        backend = backends.get("deflate", _ZLIB)
        library = _library(backend)
        return {backend: library.ZLIBNG_RUNTIME_VERSION if backend == _ZLIB_NG else library.ZLIB_RUNTIME_VERSION}

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        library, size = _library(self._parameters.backend), self._parameters.size
        units = [unit for document in documents for unit in self._units(library, document)]
        return byte_columns(self.types, units, *fixed_units(documents, size))

    def _units(self, library: Any, document: bytes) -> Iterator[bytes]:
        size = self._parameters.size
        stream = library.compressobj(self._parameters.level, zlib.DEFLATED, _RAW_DEFLATE)
        for start in range(0, len(document), size):
            is_last = start + size >= len(document)
            unit: bytes = stream.compress(document[start : start + size])
            yield unit + stream.flush(zlib.Z_FINISH if is_last else zlib.Z_PARTIAL_FLUSH)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        check_units("gzip", self.types, symbols, unit_bytes, unit_symbols)
        raw_bytes = int(unit_bytes.sum(dtype=np.int64))
        try:
            # One byte more than expected: enough to detect more data, too little to fill the memory.
            raw = zlib.decompressobj(_RAW_DEFLATE).decompress(symbols.astype(np.uint8).tobytes(), raw_bytes + 1)
        except zlib.error as error:
            raise CodecError(f"gzip: a unit cannot be decoded: {error}") from None
        if len(raw) != raw_bytes:
            raise CodecError(f"gzip: {raw_bytes} raw bytes expected, the units hold others")
        return raw


def _library(backend: str) -> Any:
    """The module; zlib-ng's has the same names as zlib's. Raises ``OptionError`` if it is not installed."""
    if backend == _ZLIB:
        return zlib
    require("zlib_ng", "gzip:backend=zlib-ng")
    return importlib.import_module("zlib_ng.zlib_ng")


def _most_compressed_bytes(raw_bytes: int, backend: str) -> int:
    """A bound for one unit: a generous form of ``deflateBound``, and 32 bytes for the flush.

    zlib stores incompressible data. At level 1 zlib-ng writes it in the fixed code of RFC 1951 (3.2.6), in which a
    literal takes up to 9 bits.
    """
    more = raw_bytes >> 3 if backend == _ZLIB_NG else (raw_bytes >> 10) + (raw_bytes >> 12)
    return raw_bytes + more + 32
