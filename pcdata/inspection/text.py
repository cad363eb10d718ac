"""Bytes and numbers as text for people.

Whatever the bytes are, the text that comes out cannot move a terminal's cursor, change its colours or turn the
direction of writing: what is not printable is shown, not sent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

UNDEFINED = "–"
"""Stands where a ratio has no value, such as bytes per symbol of no symbols."""

_SHOWN = {"\n": "↵", "\t": "→   ", "\x7f": "␡"}
_FIRST_ESCAPED_BYTE = 0xDC00  # where "surrogateescape" puts bytes that are not UTF-8


def glyphs(raw: bytes) -> list[str]:
    """One piece of printable text per character; bytes that are not UTF-8 each become ``\\xff``."""
    text = raw.decode("utf-8", "surrogateescape")
    shown = [_glyph(character) for character in text]
    if shown and display_width(shown[0]) == 0:  # it would change whatever stands before it
        shown[0] = _escaped(text[0])
    return shown


def safe(text: str | bytes) -> str:
    """Text that may go to a terminal, on one line."""
    return "".join(glyphs(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")))


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


def display_width(text: str) -> int:
    """Terminal columns of printable text: 2 for wide East Asian characters, 0 for combining marks."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def size(count: int) -> str:
    """Bytes in decimal units, as disks are sold: ``1.5 MB``."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.95 or unit == "PB":
            break
    return f"{value:.1f} {unit}"


def ratio(value: float | None, digits: int = 2) -> str:
    return UNDEFINED if value is None else f"{value:,.{digits}f}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first row is its heading: the first column to the left, all others to the right."""
    widths = [max(display_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            padded(cell, width, right=number > 0) for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "   ".join(cells).rstrip())
    return lines


def padded(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled with spaces to ``width`` columns; ``right`` puts them in front."""
    fill = " " * (width - display_width(text))
    return fill + text if right else text + fill
