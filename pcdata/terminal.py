"""The door for all text that leaves the program: nothing in it can move a terminal's cursor, change its colours or turn
the direction of writing. What is not printable is shown, not sent.

File names, views, languages, options and what a library says of them may be a stranger's. They are put into messages as
they are, and made safe here, where the message goes out. What a command makes *of* documents is data, and has a rule of
its own: ``Data``.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, TextIO

STANDARD_OUTPUT: Final = "standard output"
"""The file that an ``OSError`` of it names."""

_SHOWN = {"\n": "↵", "\t": "→   ", "\x7f": "␡"}
_FIRST_ESCAPED_BYTE = 0xDC00  # where "surrogateescape" puts bytes that are not UTF-8
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def say(text: str) -> None:
    """A sentence to whoever runs the command, in one line on standard error. If nobody can hear it, the work goes on:
    its result is elsewhere."""
    say_lines(safe(text))


def say_lines(text: str) -> None:
    """The same of several lines."""
    with suppress(OSError):
        _write(sys.stderr, _safe_lines(text) + "\n")


def answer(text: str, *, coloured: bool = False) -> None:
    """The lines that a command was asked for, on standard output; ``coloured`` lets colours through, and nothing else.

    A name inside must be ``safe`` already, or it may break its line. Raises ``OSError`` that names
    ``STANDARD_OUTPUT``.
    """
    pieces = _COLOUR.split(text) if coloured else [text]  # every second one is a colour
    pieces[::2] = map(_safe_lines, pieces[::2])
    _write(sys.stdout, "".join(pieces) + "\n")


class Data:
    """Documents, or what a model made, on standard output: the bytes themselves, whatever they are. A terminal is shown
    what it should not be sent."""

    def __init__(self) -> None:
        """Raises ``OSError`` that names ``STANDARD_OUTPUT``, as the methods do."""
        self._stream = _there(sys.stdout)

    def write(self, data: bytes, /) -> None:
        """Whole characters, where it is text."""
        with _named():
            if self._stream.isatty():
                self._stream.write(_safe_lines(data.decode("utf-8", "surrogateescape")))
            else:
                self._stream.buffer.write(data)

    def flush(self) -> None:
        with _named():
            self._stream.flush()


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone. Help is written by click, whose errors do not say."""
    watched = select.poll()
    watched.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


def prepare() -> None:
    """Make the standard streams such that text of any kind can be written to them.

    A locale may lack the letters that names are written in. And a stream may have been closed by who started us: a file
    that is opened would then get its number, and what libraries print would be written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Of a bug; for ``sys.excepthook``."""
    say_lines("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def say_warnings() -> None:
    """Let Python's warnings go through the door too."""
    warnings.showwarning = lambda message, *where: say(f"warning: {message}")


def safe(text: str | bytes) -> str:
    """Text that may go to a terminal, on one line."""
    return "".join(glyphs(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))


def glyphs(raw: bytes) -> list[str]:
    """One piece of printable text per character; bytes that are not UTF-8 each become ``\\xff``."""
    text = raw.decode("utf-8", "surrogateescape")
    shown = [_glyph(character) for character in text]
    if shown and display_width(shown[0]) == 0:  # it would change whatever stands before it
        shown[0] = _escaped(text[0])
    return shown


def display_width(text: str) -> int:
    """Terminal columns of printable text: 2 for wide East Asian characters, 0 for combining marks."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _glyph(character: str) -> str:
    code = ord(character)
    if character in _SHOWN:
        return _SHOWN[character]
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's pictures of the control characters
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - _FIRST_ESCAPED_BYTE:02x}"
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _safe_lines(text: str) -> str:
    return "\n".join(line if line.isprintable() else "".join(map(_glyph, line)) for line in text.split("\n"))


def _write(stream: TextIO | None, text: str) -> None:
    there = _there(stream)
    with _named():
        there.write(text)
        there.flush()


def _there(stream: TextIO | None) -> TextIO:
    """Python has no stream where the process was started with a closed one."""
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STANDARD_OUTPUT)
    return stream


@contextmanager
def _named() -> Iterator[None]:
    """An ``OSError`` of the stream names it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error
