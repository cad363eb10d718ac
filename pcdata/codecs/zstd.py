"""The ``zstd`` codec: documents as the bytes of zstd, with or without a dictionary fitted to the corpus.

A unit is either a *chunk*, a separate frame of a piece from content-defined ``chunking``, or a *block*, a fixed number
of raw bytes in one stream per document that is flushed after each. Frames are magicless, and without content size,
checksum and dictionary id: the columns of the view hold all of these, and they would cost 9 to 13 bytes per unit. With
``28 b5 2f fd`` in front, ``zstd -d`` (``-D dictionary``) reads a chunk, or a document of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import zstandard

from pcdata.codecs import chunking
from pcdata.codecs.base import (
    Artifact,
    Codec,
    beginning,
    byte_columns,
    check_units,
    fixed_units,
    offsets_of,
    require_choice,
    require_range,
)
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError, OptionError

DICTIONARY: Final = "dictionary"
"""The artifact's one file; empty if the sample was too small to train on."""

_FRAME_START = b"\0"
"""The frame header descriptor (RFC 8878, 3.1.1.1.1) of every frame that this codec writes. With any other, the library
would trust the content size and allocate it."""
_SMALLEST_DICTIONARY = 1024
_DOCUMENT_SAMPLE_BYTES = 8192
_SAMPLES_PER_DICTIONARY_BYTE = 100
"""What zstd's ``zdict.h`` recommends; more only takes longer."""


@dataclass(frozen=True)
class ZstdParameters:
    """The defaults follow from ``tools/study_zstd_units.py`` on the Python 3.11 standard library (level 3, unless
    stated otherwise; one core of a shared machine, so the speeds are for comparison only):

    ======= ====== ======= ====== ============== ================= =======================
    unit    size   ratio   MB/s   a line added   padding at 4096   not paired at 4096, 512
    ======= ====== ======= ====== ============== ================= =======================
    chunk   128    2.07    77     0.03           2.4 %             0 %, 0.2 %
    chunk   192    2.36    91     0.04           3.7 %             0 %, 4.6 %
    chunk   256    2.55    100    0.05           4.8 %             0 %, 20 %
    chunk   512    2.98    122    0.11           9.4 %             0 %, 80 %
    block   256    3.49    91     0.70           4.1 %             0 %, 0 %
    block   1024   4.19    164    0.73           10.5 %            0 %, 99.5 %
    ======= ====== ======= ====== ============== ================= =======================

    *A line added* is the distance (``pcdata probe``) after inserting a line, in files of 2 to 12 kB. *Chunks*, because
    a block's bytes depend on all before it, so an inserted line changes 70 % of a file's. *192*, the largest size tried
    with which 95 % of the raw bytes fit beside their symbols in the shortest rows of any preset (512). *Level 3*,
    because small pieces depend on the dictionary: levels 6 and 9 give 2.35 and 2.38 at a fifth of the speed or less, 19
    gives 2.60 at a twentieth. *112 KiB*, about what ``zstd --train`` makes: without a dictionary the ratio is 1.58,
    with 16 KiB 2.17, with 512 KiB 2.42.
    """

    level: int = 3
    """Compression level of zstd, 1 … 19."""
    unit: str = "chunk"
    """What a unit is: ``chunk`` or ``block``."""
    size: int = 192
    """Raw bytes per unit: approximate mean of chunks (the most is four times that), exact for blocks but the last."""
    dictionary: int = 114_688
    """The most bytes of the dictionary; 0 for none."""

    def __post_init__(self) -> None:
        require_range("level", self.level, 1, 19)
        require_choice("unit", self.unit, ("chunk", "block"))
        require_range("size", self.size, chunking.SMALLEST_SIZE, 65_536)
        require_range("dictionary", self.dictionary, 0, 1 << 20)
        if 0 < self.dictionary < _SMALLEST_DICTIONARY:
            raise OptionError(f"dictionary must be 0 or at least {_SMALLEST_DICTIONARY}, got {self.dictionary}")


class ZstdCodec(Codec):
    """Chunks compressed separately with a shared dictionary, or flushed blocks of one stream. See the module."""

    Parameters: ClassVar[type[Any]] = ZstdParameters

    def __init__(self, parameters: ZstdParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        if set(artifact) != ({DICTIONARY} if parameters.dictionary else set()):
            raise CodecError(
                f"zstd with dictionary={parameters.dictionary} was given the artifact files "
                f"{sorted(artifact)}, expected {[DICTIONARY] if parameters.dictionary else 'none'}"
            )
        self._parameters = parameters
        options = zstandard.ZstdCompressionParameters.from_level(
            parameters.level,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_content_size=False,
            write_checksum=False,
            write_dict_id=False,
        )
        dictionary = _load_dictionary(artifact.get(DICTIONARY, b""), options)
        self._compressor = zstandard.ZstdCompressor(compression_params=options, dict_data=dictionary)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
        chunks = parameters.unit == "chunk"
        self.units_independent = chunks
        longest = parameters.size * chunking.LONGEST if chunks else parameters.size
        self.types = ViewTypes(256, longest, _most_compressed_bytes(longest))

    @classmethod
    def is_fitted(cls, parameters: ZstdParameters) -> bool:
        return parameters.dictionary > 0

    @classmethod
    def fit(cls, parameters: ZstdParameters, sample: Sequence[bytes]) -> Artifact:
        """Train the dictionary on unit-sized pieces of the first 8 KiB of each document.

        With segment and d-mer size given (zdict's ``k`` and ``d``) training is one pass without threads, hence
        reproducible. On the standard library it takes 0.06 s, where the search for both takes 3 s; and the dictionary
        is 1 % better because it is made from pieces like those that it is used for.
        """
        size = min(parameters.size, _DOCUMENT_SAMPLE_BYTES)
        heads = (document[:_DOCUMENT_SAMPLE_BYTES] for document in sample)
        pieces: list[bytes | bytearray | memoryview] = [
            head[start : start + size]
            for head in beginning(heads, parameters.dictionary * _SAMPLES_PER_DICTIONARY_BYTE)
            for start in range(0, len(head), size)
        ]
        try:
            trained = zstandard.train_dictionary(parameters.dictionary, pieces, k=200, d=8, level=parameters.level)
        except zstandard.ZstdError:  # the sample is too small to train on
            return {DICTIONARY: b""}
        return {DICTIONARY: trained.as_bytes()}

    @classmethod
    def read_artifact(cls, path: Path) -> Artifact:
        """Read a dictionary of any name, made by ``zstd --train`` or by another build."""
        file = path / DICTIONARY if path.is_dir() else path
        if file != path and file.is_symlink():  # in an untrusted folder; its target would be copied into every dataset
            raise OptionError(f"artifact {file} is a symbolic link; put the file itself there, or name it")
        (data,) = super().read_artifact(file).values()
        return {DICTIONARY: data}

    @classmethod
    def symbols_are_bytes(cls, parameters: ZstdParameters) -> bool:
        return True

    @classmethod
    def versions(cls, backends: Mapping[str, str]) -> dict[str, str]:
        return {"zstd": ".".join(map(str, zstandard.ZSTD_VERSION)), "zstandard": zstandard.__version__}

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        if self._parameters.unit == "chunk":
            return self._encode_chunks(documents)
        blocks = [block for document in documents for block in self._blocks(document)]
        return byte_columns(self.types, blocks, *fixed_units(documents, self._parameters.size))

    def _encode_chunks(self, documents: Sequence[bytes]) -> ViewColumns:
        text = b"".join(documents)
        document_offsets = offsets_of([len(document) for document in documents])
        ends = chunking.cut(np.frombuffer(text, np.uint8), document_offsets[1:], self._parameters.size)
        unit_bytes = np.diff(ends, prepend=0)
        frames: Sequence[Any] = ()
        if text:
            segments = np.stack([ends - unit_bytes, unit_bytes], axis=1).astype(np.uint64)
            pieces = zstandard.BufferWithSegments(text, segments.tobytes())
            compressed = self._compressor.multi_compress_to_buffer(pieces, threads=1)
            frames = [compressed[i] for i in range(len(compressed))]
        return byte_columns(self.types, frames, unit_bytes, np.searchsorted(ends, document_offsets, side="right"))

    def _blocks(self, document: bytes) -> Iterator[bytes]:
        size = self._parameters.size
        stream = self._compressor.compressobj(size=len(document))
        for start in range(0, len(document), size):
            is_last = start + size >= len(document)
            flush = zstandard.COMPRESSOBJ_FLUSH_FINISH if is_last else zstandard.COMPRESSOBJ_FLUSH_BLOCK
            yield stream.compress(document[start : start + size]) + stream.flush(flush)

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        unit_symbols = check_units("zstd", self.types, symbols, unit_bytes, unit_symbols)
        if not len(unit_bytes):
            return b""
        data = symbols.astype(np.uint8, copy=False).tobytes()
        try:
            if self._parameters.unit == "chunk":
                return self._decode_chunks(data, unit_bytes, unit_symbols)
            return self._decode_blocks(data, int(unit_bytes.sum(dtype=np.int64)))
        except (zstandard.ZstdError, ValueError) as error:
            raise CodecError(f"zstd: a unit cannot be decoded: {error}") from None

    def _decode_chunks(self, data: bytes, unit_bytes: Unsigned, unit_symbols: Unsigned) -> bytes:
        # Not multi_decompress_to_buffer: in zstandard 0.25 it does not know magicless frames.
        pieces = []
        start = 0
        for raw_bytes, symbols in zip(unit_bytes.tolist(), unit_symbols.tolist(), strict=True):
            frame = data[start : start + symbols]
            if frame[:1] != _FRAME_START:
                raise CodecError("zstd: a chunk does not start as a frame without content size does")
            piece = self._decompressor.decompress(frame, max_output_size=raw_bytes, allow_extra_data=False)
            if len(piece) != raw_bytes:
                raise CodecError(f"zstd: {raw_bytes} raw bytes expected, a chunk holds {len(piece)}")
            pieces.append(piece)
            start += symbols
        return b"".join(pieces)

    def _decode_blocks(self, data: bytes, raw_bytes: int) -> bytes:
        with self._decompressor.stream_reader(data) as reader:
            raw = bytes(reader.read(raw_bytes + 1))
        if len(raw) != raw_bytes:
            raise CodecError(f"zstd: {raw_bytes} raw bytes expected, the blocks hold others")
        return raw


def _load_dictionary(data: bytes, options: zstandard.ZstdCompressionParameters) -> zstandard.ZstdCompressionDict | None:
    if not data:
        return None
    try:
        dictionary = zstandard.ZstdCompressionDict(data)
        dictionary.precompute_compress(compression_params=options)
    except zstandard.ZstdError as error:
        raise CodecError(f"zstd: the dictionary cannot be loaded: {error}") from None
    return dictionary


def _most_compressed_bytes(raw_bytes: int) -> int:
    """A bound for one unit: ``ZSTD_COMPRESSBOUND`` of ``zstd.h``, plus a frame header (at most 14 bytes) and an empty
    last block (3 bytes), which a stream may add, unlike a single call."""
    return raw_bytes + (raw_bytes >> 8) + (max(0, (128 << 10) - raw_bytes) >> 11) + 17
