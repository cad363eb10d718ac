"""Numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

from pcdata.terminal import display_width

UNDEFINED = "–"
"""A ratio without a value, such as bytes per symbol of no symbols."""


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
    """Lines of a table whose first row is its heading; the first column is left-aligned, the others right-aligned."""
    widths = [max(display_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        to_the_right = [padded(cell, width, right=True) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  " + "   ".join([padded(first, widths[0]), *to_the_right]).rstrip())
    return lines


def padded(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled with spaces to ``width`` columns; ``right`` aligns the text to the right."""
    fill = " " * (width - display_width(text))
    return fill + text if right else text + fill
