"""The members of a tar archive, one after another: ustar, pax and GNU headers, sparse files of all forms.

``tarfile`` takes a damaged header for the end of the archive, decodes names by the locale, and reads extended headers
of any size. Here names are bytes, and an archive ends where its file ends: anything but headers and zeros is damage.
"""

from __future__ import annotations

import io
import re
from typing import IO, Final, NamedTuple, TypeAlias

from pcdata.inputs.whose_fault import Unreadable

_BLOCK: Final = 512
_SKIP_BYTES: Final = 1 << 20

_MAX_EXTENDED_BYTES: Final = 1 << 20
"""Longer names, pax headers and maps of holes are damage, because they are read into memory."""

_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _PAX_FOR_ALL, _SPARSE = b"L", b"K", b"x", b"X", b"g", b"S"
_EXTENDED: Final = (_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _PAX_FOR_ALL)
_OLD_FILE: Final = b"\0"
_FILES: Final = (b"0", _OLD_FILE, b"7", _SPARSE)
_LINKS: Final = (b"1", b"2")
_FOLDER: Final = b"5"
_WITHOUT_DATA: Final = (*_LINKS, b"3", b"4", _FOLDER, b"6")
"""Links, devices, folders and fifos have no data, whatever size their headers say."""

_Pieces: TypeAlias = list[tuple[int, int]]
"""Positions of a sparse file's data in its content, and the size of each piece."""

_Records: TypeAlias = list[tuple[bytes, bytes]]

_PAX_RECORD: Final = re.compile(rb"([1-9]\d{0,7}) ([^=\n]+)=")


class Member(NamedTuple):
    """One member, before its data are read."""

    path: bytes
    kind: bytes
    size: int
    """Bytes of its content."""
    stored: int
    """Bytes of its data in the archive."""
    pieces: _Pieces | None = None
    """Pieces of a sparse file; None: the data are the content."""

    @property
    def is_file(self) -> bool:
        return self.kind in _FILES

    @property
    def is_link(self) -> bool:
        return self.kind in _LINKS

    @property
    def is_folder(self) -> bool:
        return self.kind == _FOLDER


class TarHeaders:
    """An archive, or several one after another. Damage raises ``Unreadable``, and ends it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END) if stream.seekable() else None
        if self._size is not None:
            stream.seek(0)
        self._at = 0
        self._next_header = 0
        self._for_all: dict[bytes, bytes] = {}

    def next(self) -> Member | None:
        """The next member; None at the end of the file."""
        self._skip_to(self._next_header)
        try:
            return self._member()
        except ValueError as error:
            raise Unreadable(f"the header before byte {self._at:,} is damaged: {error}") from error

    def content(self, member: Member) -> bytes:
        """The content of the last member."""
        data = self._exactly(member.stored)
        if member.pieces is None:
            return data
        content, at = bytearray(member.size), 0
        for offset, size in member.pieces:
            if not 0 <= offset <= offset + size <= member.size or at + size > len(data):
                raise Unreadable(f"the map of holes of the member before byte {self._at:,} does not fit it")
            content[offset : offset + size] = data[at : at + size]
            at += size
        return bytes(content)

    def _member(self) -> Member | None:
        """The next header, or the next few that describe one member: if two differ, the first counts."""
        said: dict[bytes, bytes] = {}
        pieces: _Pieces | None = None
        while (header := self._header()) is not None and (kind := header[156:157]) in _EXTENDED:
            text = self._extended(_number(header[124:136]))
            if kind == _LONG_NAME:
                said.setdefault(b"path", _string(text))
            elif kind == _PAX_FOR_ALL:
                self._for_all |= dict(_pax_records(text))
            elif kind != _LONG_LINK:
                records = _pax_records(text)
                said = {**dict(records), **said}
                pieces = pieces or _pieces_in(records)
        if header is None:
            if said:
                raise Unreadable("it ends after an extended header")
            return None
        return self._described(header, {**self._for_all, **said}, pieces)

    def _described(self, header: bytes, said: dict[bytes, bytes], pieces: _Pieces | None) -> Member:
        kind, path = header[156:157], _name(header)
        if kind == _OLD_FILE and path.endswith(b"/"):
            kind = _FOLDER
        stored = 0 if kind in _WITHOUT_DATA else _decimal(said, b"size", _number(header[124:136]))
        size, begin = stored, self._at
        if kind == _SPARSE:
            size, pieces = _number(header[483:495]), self._old_pieces(header)
            begin = self._at
        elif said.get(b"GNU.sparse.major") == b"1":
            pieces = self._pieces_before_data()
        size = _decimal(said, b"GNU.sparse.realsize", _decimal(said, b"GNU.sparse.size", size))
        if (left := begin + stored - self._at) < 0:
            raise ValueError("its map of holes is longer than its data")
        self._next_header = begin + stored + -stored % _BLOCK
        path = said[b"path"].rstrip(b"/") if b"path" in said else path
        return Member(said.get(b"GNU.sparse.name", path), kind, size, left, pieces)

    def _header(self) -> bytes | None:
        """The next block that is not all zeros: zeros end an archive, but another may follow."""
        block = b""
        while not block.strip(b"\0"):
            block = self._stream.read(_BLOCK)
            self._at += len(block)
            if not block:
                return None
        begin = self._at - len(block)
        if len(block) < _BLOCK:
            raise Unreadable(f"it ends inside the block at byte {begin:,}")
        if not _is_header(block):
            raise Unreadable(f"the block at byte {begin:,} is no tar header, or a damaged one")
        return block

    def _extended(self, size: int) -> bytes:
        """The content of an extended header."""
        if size > _MAX_EXTENDED_BYTES:
            raise ValueError(f"{size:,} bytes of names; at most {_MAX_EXTENDED_BYTES:,} are read")
        return self._exactly(size + -size % _BLOCK)[:size]

    def _old_pieces(self, header: bytes) -> _Pieces:
        """The oldest GNU form: four pieces in the header, 21 in each block after it."""
        pieces, more = _old_pieces(header[386:482]), header[482]
        while more:
            if 24 * len(pieces) > _MAX_EXTENDED_BYTES:
                raise ValueError(f"more than {len(pieces):,} holes")
            block = self._exactly(_BLOCK)
            pieces += _old_pieces(block[:504])
            more = block[504]
        return pieces

    def _pieces_before_data(self) -> _Pieces:
        """The newest GNU form: lines of numbers before the data, the first of them the number of pieces."""
        numbers: list[int] = []
        text = b""
        while not numbers or len(numbers) < 1 + 2 * numbers[0]:
            if 8 * len(numbers) > _MAX_EXTENDED_BYTES or len(text) > _BLOCK:
                raise ValueError("its map of holes")
            *lines, text = (text + self._exactly(_BLOCK)).split(b"\n")
            numbers += map(int, lines)
        return [*zip(numbers[1::2], numbers[2::2], strict=True)]

    def _exactly(self, size: int) -> bytes:
        if self._size is not None and size > self._size - self._at:
            raise Unreadable(_cut(self._at + size, self._size))
        data = self._stream.read(size)
        self._at += len(data)
        if len(data) < size:
            raise Unreadable(_cut(self._at + size - len(data), self._at))
        return data

    def _skip_to(self, place: int) -> None:
        if self._size is None:
            while self._at < place:
                self._exactly(min(_SKIP_BYTES, place - self._at))
        elif place > self._size:
            raise Unreadable(_cut(place, self._size))
        elif place != self._at:
            self._at = self._stream.seek(place)


def _cut(wanted: int, size: int) -> str:
    return f"it ends at byte {size:,}, inside a member that goes on to byte {wanted:,}"


def _is_header(block: bytes) -> bool:
    """Whether its checksum is right, over bytes or, as some programs have it, signed bytes, its own field as spaces."""
    summed = block[:148] + b" " * 8 + block[156:]
    total = sum(summed)
    try:
        return _number(block[148:156]) in (total, total - 256 * sum(byte > 127 for byte in summed))
    except ValueError:
        return False


def _number(field: bytes) -> int:
    """Octal digits; or, for larger numbers from GNU tar, a binary integer after a marker byte."""
    if field[0] == 0o200:
        return int.from_bytes(field[1:], "big")
    number = int(_string(field).strip() or b"0", 8)
    if number < 0:
        raise ValueError(f"{number} bytes")
    return number


def _string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _name(header: bytes) -> bytes:
    name, before = _string(header[:100]), _string(header[345:500])
    return before + b"/" + name if before and header[156:157] != _SPARSE else name


def _decimal(said: dict[bytes, bytes], key: bytes, otherwise: int) -> int:
    number = int(said[key]) if key in said else otherwise
    if number < 0:
        raise ValueError(f"{number} bytes")
    return number


def _pax_records(text: bytes) -> _Records:
    """Each is ``LENGTH KEY=VALUE`` and a line end; the length is that of the whole record."""
    records, at = [], 0
    while at < len(text):
        found = _PAX_RECORD.match(text, at)
        if found is None:
            raise ValueError("a pax record without a length or a key")
        end = at + int(found[1])
        if not found.end() < end <= len(text) or text[end - 1 : end] != b"\n":
            raise ValueError("a pax record of another length")
        records.append((found[2], text[found.end() : end - 1]))
        at = end
    return records


def _pieces_in(records: _Records) -> _Pieces | None:
    """The two forms in pax records: one list, or one record per number."""
    numbers = [int(value) for key, value in records if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")]
    for key, value in records:
        if key == b"GNU.sparse.map":
            numbers = [int(number) for number in value.split(b",")]
    return [*zip(numbers[::2], numbers[1::2], strict=True)] if numbers else None


def _old_pieces(fields: bytes) -> _Pieces:
    """Pairs of numbers of twelve bytes each, up to the first empty one."""
    pieces = [(fields[at : at + 12], fields[at + 12 : at + 24]) for at in range(0, len(fields), 24)]
    return [(_number(offset), _number(size)) for offset, size in pieces if size.strip(b"\0 ")]
