"""Tar, plain or compressed: a record per regular file in it. A member's offset is its number in the archive."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator

from pcdata.build.inputs.base import MAX_RECORD_BYTES, Changed, Fault, Located, Record, too_large
from pcdata.build.inputs.jsonl import decompressed

PATH = "path"
"""The only field of a member."""


class TarMembers:
    """An archive, read from its beginning to its end; a plain one passes over what is not asked for."""

    def __init__(self, file: io.FileIO, compression: str | None) -> None:
        """``compression`` is gzip, zstd or None."""
        stream = decompressed(file, compression)
        self._stream = stream
        self._tar = tarfile.open(fileobj=stream, mode="r:" if stream.seekable() else "r|")  # noqa: SIM115 (close)
        self._number = -1
        self._last: tuple[int, Record | Fault] | None = None

    def close(self) -> None:
        self._tar.close()
        self._stream.close()

    def scan(self) -> Iterator[Located]:
        while (member := self._next()) is not None:
            if not member.isdir():
                yield Located(self._number + 1, self._number, self._record(member))

    def at(self, offset: int) -> Record | Fault:
        if self._last is not None and self._last[0] == offset:
            return self._last[1]
        member = None
        while self._number < offset:
            member = self._next()
            if member is None:
                raise Changed(f"it has no member {offset + 1}")
        assert member is not None, "members are asked for in order"
        found = self._record(member)
        self._last = offset, found
        return found

    def _next(self) -> tarfile.TarInfo | None:
        member = self._tar.next()
        vars(self._tar)["members"].clear()  # it would remember all of them
        self._number += member is not None
        return member

    def _record(self, member: tarfile.TarInfo) -> Record | Fault:
        if not member.isfile():
            reason = "symlink" if member.issym() or member.islnk() else "not a file"
            return Fault(reason, f"{member.name} in the archive")
        if member.size > MAX_RECORD_BYTES:
            return too_large(member.size)
        content = self._tar.extractfile(member)
        assert content is not None
        raw = content.read()
        if len(raw) != member.size:
            raise OSError(f"it ends inside {member.name}")
        return Record(raw, {PATH: os.fsencode(member.name)})
