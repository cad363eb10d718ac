"""All printed text passes through here, so that nothing in it can move a terminal's cursor, change its colours or
reverse the writing direction. Unprintable characters are shown escaped.

File names, views, languages, options, and what libraries say about them may come from a stranger. Messages contain them
unchanged, and they are made safe here, when the message is printed. Output made *of* documents is data, with its own
rule: ``Data``.
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
"""The file name in an ``OSError`` of that stream."""

_SHOWN = {"\n": "↵", "\t": "→   ", "\x7f": "␡"}
_FIRST_ESCAPED_BYTE = 0xDC00  # where "surrogateescape" puts bytes that are not UTF-8
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def say(text: str) -> None:
    """Print one line on standard error. If that is impossible, the work continues: its result is elsewhere."""
    say_lines(safe(text))


def say_lines(text: str) -> None:
    """The same for several lines."""
    with suppress(OSError):
        _write(sys.stderr, _safe_lines(text) + "\n")


def answer(text: str, *, coloured: bool = False) -> None:
    """Print the requested lines on standard output; ``coloured`` lets colour codes through, and nothing else.

    Names inside must be ``safe`` already, since they could contain line ends. Raises ``OSError`` that names
    ``STANDARD_OUTPUT``.
    """
    pieces = _COLOUR.split(text) if coloured else [text]  # every second one is a colour
    pieces[::2] = map(_safe_lines, pieces[::2])
    _write(sys.stdout, "".join(pieces) + "\n")


class Data:
    """Documents, or text from a model, on standard output: the bytes themselves. On a terminal, unsafe ones are
    escaped."""

    def __init__(self) -> None:
        """Raises ``OSError`` that names ``STANDARD_OUTPUT``, as the methods do."""
        self._stream = _there(sys.stdout)

    def write(self, data: bytes, /) -> None:
        """Writes whole characters, if the bytes are text."""
        with _named():
            if self._stream.isatty():
                self._stream.write(_safe_lines(data.decode("utf-8", "surrogateescape")))
            else:
                self._stream.buffer.write(data)

    def flush(self) -> None:
        with _named():
            self._stream.flush()


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone, which errors of click do not say."""
    watched = select.poll()
    watched.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


def prepare() -> None:
    """Make the standard streams accept any text.

    A locale may lack the letters of a name. And the parent process may have closed a stream: the next file to be opened
    would get its number, and what libraries print would be written into that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # never closed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a bug's traceback; for ``sys.excepthook``."""
    say_lines("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def say_warnings() -> None:
    """Print Python's warnings through this module, too."""
    warnings.showwarning = lambda message, *where: say(f"warning: {message}")


def safe(text: str | bytes) -> str:
    """One line of text that is safe to print on a terminal."""
    return "".join(glyphs(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))


def glyphs(raw: bytes) -> list[str]:
    """One piece of printable text per character; each byte that is not UTF-8 becomes ``\\xff``."""
    text = raw.decode("utf-8", "surrogateescape")
    shown = [_glyph(character) for character in text]
    if shown and display_width(shown[0]) == 0:  # it would combine with whatever comes before it
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
    """Python has no stream if the process was started with a closed one."""
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STANDARD_OUTPUT)
    return stream


@contextmanager
def _named() -> Iterator[None]:
    """Add the stream's name to an ``OSError``."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error
