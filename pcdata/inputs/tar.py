"""Tar, plain or compressed: one record per regular file. A member's offset is its number in the archive."""

from __future__ import annotations

import io
from collections.abc import Iterator

from pcdata.inputs.base import MAX_RECORD_BYTES, Changed, Fault, Located, Record, too_large
from pcdata.inputs.file_names import printable
from pcdata.inputs.streams import decompressed
from pcdata.inputs.tar_headers import Member, TarHeaders

PATH = "path"
"""The only field of a member."""


class TarMembers:
    """An archive, read from beginning to end; in a plain one, data that are not needed are skipped."""

    def __init__(self, file: io.FileIO, compression: str | None) -> None:
        """``compression`` is gzip, zstd or None."""
        self._stream = decompressed(file, compression)
        self._headers = TarHeaders(self._stream)
        self._number = -1

    def close(self) -> None:
        self._stream.close()

    def scan(self) -> Iterator[Located]:
        while (member := self._next()) is not None:
            if not member.is_folder:
                yield Located(self._number + 1, self._number, self._record(member))

    def at(self, offset: int) -> Record | Fault:
        member = None
        while self._number < offset:
            member = self._next()
            if member is None:
                raise Changed(f"it has no member {offset + 1}")
        assert member is not None, "members are asked for in order"
        return self._record(member)

    def _next(self) -> Member | None:
        member = self._headers.next()
        self._number += member is not None
        return member

    def _record(self, member: Member) -> Record | Fault:
        if not member.is_file:
            return Fault("symlink" if member.is_link else "not a file", f"{printable(member.path)} in the archive")
        size = max(member.size, member.stored)
        if size > MAX_RECORD_BYTES:
            return too_large(size)
        return Record(self._headers.content(member), {PATH: member.path})
