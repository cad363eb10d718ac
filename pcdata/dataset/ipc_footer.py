"""The frame of an Arrow IPC file, read without its columns: positions and sizes of its record batches.

pyarrow knows the rows of a record batch only after loading it, and loading decompresses. This reads footer and messages
as Arrow's ``format/File.fbs`` and ``format/Message.fbs`` describe them: flatbuffers, in which every number is checked
against its container before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import pyarrow as pa

_MAGIC: Final = b"ARROW1"
_BEGIN: Final = 8
"""The magic, padded to a word, before the first message."""
_END: Final = 4 + len(_MAGIC)
"""The footer's length and the magic again."""
_CONTINUES: Final = -1
"""Precedes the length of a message; files older than Arrow 0.15 have only the length."""
_RECORD_BATCH: Final = 3
"""In the union ``MessageHeader``."""
_VERSION_5: Final = 4
"""In the enumeration ``MetadataVersion``, where version 1 is 0."""
_BLOCK: Final = struct.Struct("<qi4xq")


class IpcBatch(NamedTuple):
    """One record batch; only its message was read."""

    rows: int
    is_compressed: bool
    """Whether some of its buffers are compressed: few bytes may then become as many as the machine has."""
    begin: int
    """Position of its buffers in the file, in bytes."""
    end: int
    """Exclusive."""


class IpcFooter:
    """The record batches of a file. ``IpcFooter(buffer)[n]`` reads the message of the n-th, and no other."""

    def __init__(self, file: pa.Buffer) -> None:
        """``file`` is the whole file, usually mapped. Raises ``pa.ArrowInvalid`` if it is not an Arrow IPC file."""
        self._file = memoryview(file)
        size = len(self._file)
        if size < _BEGIN + _END or {bytes(self._file[:6]), bytes(self._file[-6:])} != {_MAGIC}:
            raise pa.ArrowInvalid("it is no Arrow file")
        self._end = size - _END - _number("<i", self._file, size - _END)
        if not _BEGIN <= self._end < size - _END:
            raise pa.ArrowInvalid("its footer is as long as no footer of this file can be")
        data = self._file[self._end : size - _END]
        footer = _Table(data, _number("<I", data, 0))
        self.n_dictionaries: int = footer.vector(2, _BLOCK.size)[1]
        self._data = data
        self._blocks, self._n_batches = footer.vector(3, _BLOCK.size)

    def __len__(self) -> int:
        return self._n_batches

    def __iter__(self) -> Iterator[IpcBatch]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> IpcBatch:
        """Raises ``pa.ArrowInvalid`` if the file has no record batch at this place."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        offset, message_bytes, _ = _BLOCK.unpack_from(self._data, self._blocks + number * _BLOCK.size)
        begin = offset + message_bytes
        if not _BEGIN <= offset < begin <= self._end:
            raise pa.ArrowInvalid(f"record batch {number} is not inside of the file")
        message = _message(self._file[offset:begin])
        batch = message.table(2)
        if batch is None or message.integer(1, "<B") != _RECORD_BATCH:
            raise pa.ArrowInvalid(f"where record batch {number} should be is something else")
        rows, end = batch.integer(0, "<q"), begin + message.integer(3, "<q")
        if rows < 0 or not begin <= end <= self._end:
            raise pa.ArrowInvalid(f"record batch {number} is as large as none of this file can be")
        return IpcBatch(rows, batch.has(3) or _may_be_compressed(message), begin, end)


def _may_be_compressed(message: _Table) -> bool:
    """Before version 5 compression was experimental, and marked by an entry in the message's metadata."""
    return message.integer(0, "<h") < _VERSION_5 and message.has(4)


def _message(data: memoryview) -> _Table:
    begin = 8 if _number("<i", data, 0) == _CONTINUES else 4
    return _Table(data[begin:], _number("<I", data[begin:], 0))


class _Table:
    """A table of a flatbuffer: numbered, optional fields."""

    def __init__(self, data: memoryview, position: int) -> None:
        self._data, self._position = data, position
        self._vtable = position - _number("<i", data, position)
        self._vtable_bytes = _number("<H", data, self._vtable)

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        offset = _number("<H", self._data, self._vtable + entry) if entry + 2 <= self._vtable_bytes else 0
        return self._position + offset if offset else None

    def has(self, field: int) -> bool:
        return self._place(field) is not None

    def integer(self, field: int, format: str) -> int:
        """In the format of ``struct``; 0 if absent."""
        place = self._place(field)
        return 0 if place is None else _number(format, self._data, place)

    def table(self, field: int) -> _Table | None:
        place = self._place(field)
        return None if place is None else _Table(self._data, place + _number("<I", self._data, place))

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """The position of its first item in the flatbuffer, and the number of items."""
        place = self._place(field)
        if place is None:
            return 0, 0
        begin = place + _number("<I", self._data, place)
        count = _number("<I", self._data, begin)
        if count * item_bytes > len(self._data) - begin - 4:
            raise pa.ArrowInvalid("a list is longer than what holds it")
        return begin + 4, count


def _number(format: str, data: memoryview, position: int) -> int:
    if not 0 <= position <= len(data) - struct.calcsize(format):
        raise pa.ArrowInvalid("a place is outside of what holds it")
    number: int = struct.unpack_from(format, data, position)[0]
    return number
