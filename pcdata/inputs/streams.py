"""The uncompressed content of a gzip or zstd file; if it is damaged, every byte before the damage.

A library that finds damage discards what it had decompressed from the same piece of input. So gzip is reread byte by
byte from a copy of the state before the damage, and zstd is decompressed block by block.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import IO, Any, Final

import zstandard

from pcdata.inputs.whose_fault import Unreadable

BUFFER_BYTES: Final = 1 << 20
_INPUT_BYTES: Final = 1 << 16

MAX_WINDOW_BYTES: Final = 1 << 27
"""How far back a zstd stream may refer, which each worker needs as memory: the default limit of ``zstd -d``."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


def decompressed(file: io.FileIO, compression: str | None) -> IO[bytes]:
    """A buffered stream of the uncompressed content. Raises ``Unreadable`` where damage begins."""
    if compression is None:
        return io.BufferedReader(file, BUFFER_BYTES)
    return io.BufferedReader(_Pieces(_DECOMPRESSORS[compression](file)), BUFFER_BYTES)


class _Pieces(io.RawIOBase):
    """A generator of bytes as a stream."""

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def close(self) -> None:
        self._pieces.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size


def _gunzipped(file: io.FileIO) -> Generator[bytes, None, None]:
    """All members, one after another. Zeros between and after them are padding, as in the gzip manual."""
    unread = file.read(_INPUT_BYTES)
    if not unread:
        raise Unreadable("it has no bytes, so it is no gzip file")
    while unread:
        inflater = zlib.decompressobj(wbits=31)  # 31: with header and checksum
        while not inflater.eof:
            piece = b""
            unread = inflater.unconsumed_tail or unread or file.read(_INPUT_BYTES)
            for piece in _inflated(inflater, unread):
                yield piece
            if not unread and not piece:
                raise Unreadable("it ends inside a gzip member")
            unread = b""
        unread = _after_padding(inflater.unused_data, file)
        if unread and not unread.startswith(_GZIP_MAGIC):
            size = len(unread) + sum(map(len, iter(lambda: file.read(_INPUT_BYTES), b"")))
            raise Unreadable(f"the gzip stream is whole, but the {size:,} bytes after it are no gzip")


def _inflated(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    before = inflater.copy()
    try:
        yield inflater.decompress(data, BUFFER_BYTES)
    except zlib.error as error:
        for place in range(len(data)):
            try:
                yield before.decompress(data[place : place + 1])
            except zlib.error:
                break
        raise Unreadable(f"the gzip stream is damaged: {error}") from error


def _after_padding(unread: bytes, file: io.FileIO) -> bytes:
    """What follows after zeros, at least two bytes if there are so many."""
    unread = unread.lstrip(b"\0")
    while len(unread) < len(_GZIP_MAGIC) and (more := file.read(_INPUT_BYTES)):
        unread = (unread + more).lstrip(b"\0")
    return unread


def _unzstd(file: io.FileIO) -> Generator[bytes, None, None]:
    """All frames, one after another."""
    source = io.BufferedReader(file, _INPUT_BYTES)
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        magic = source.read(4)
        if not magic:
            raise Unreadable("it has no bytes, so it is no zstd file")
        while magic:
            if magic == _ZSTD_MAGIC:
                yield from _zstd_frame(source, decompressor)
            elif magic[1:] == b"\x2a\x4d\x18" and 0x50 <= magic[0] <= 0x5F:
                _skip(source, int.from_bytes(_exactly(source, 4), "little"))
            else:
                raise Unreadable(f"what is at byte {source.tell() - len(magic):,} is no zstd frame")
            magic = source.read(4)
    finally:
        source.detach()  # it would close the file, which the caller owns


def _zstd_frame(source: IO[bytes], decompressor: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    """One frame after its magic number, block by block (RFC 8878, 3.1.1)."""
    header = _zstd_header(source)
    try:
        parameters = zstandard.get_frame_parameters(header)
        if parameters.window_size > MAX_WINDOW_BYTES:
            raise Unreadable(
                f"its zstd window is {parameters.window_size >> 20:,} MiB, of which {MAX_WINDOW_BYTES >> 20} are read; "
                "compress it again without --long, or build from `zstd -dc --long=31 FILE |`, with - as the input"
            )
        frame = decompressor.decompressobj()
        frame.decompress(header)
        is_last = 0
        while not is_last:
            head = _exactly(source, 3)
            number = int.from_bytes(head, "little")
            is_last, kind, size = number & 1, number >> 1 & 3, number >> 3
            yield frame.decompress(head + _exactly(source, 1 if kind == _REPEATED_BYTE else size))
        if parameters.has_checksum:
            yield frame.decompress(_exactly(source, 4))
    except zstandard.ZstdError as error:
        raise Unreadable(f"the zstd stream is damaged: {error}") from error


_REPEATED_BYTE: Final = 1


def _zstd_header(source: IO[bytes]) -> bytes:
    described = _exactly(source, 1)
    is_single = described[0] >> 5 & 1
    size_bytes = (is_single, 2, 4, 8)[described[0] >> 6]
    dictionary_bytes = (0, 1, 2, 4)[described[0] & 3]
    return _ZSTD_MAGIC + described + _exactly(source, 1 - is_single + dictionary_bytes + size_bytes)


def _exactly(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise Unreadable("it ends inside a zstd frame")
    return data


def _skip(source: IO[bytes], size: int) -> None:
    while size:
        size -= len(_exactly(source, min(size, BUFFER_BYTES)))


_DECOMPRESSORS: Final[dict[str, Callable[[io.FileIO], Generator[bytes, None, None]]]] = {
    "gzip": _gunzipped,
    "zstd": _unzstd,
}
