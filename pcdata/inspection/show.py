"""One document on a terminal: its text line by line, a column per view, with its units.

With colours, every other unit is underlined; without, a ``│`` follows each unit. The number before a
line, under ``sym``, counts the symbols of the units that end in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import TypeAlias

import click
import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Dataset, Document
from pcdata.dataset.alignment import Alignment
from pcdata.errors import OptionError
from pcdata.inspection.find import find_document, overall_number
from pcdata.terminal import display_width, glyphs, safe
from pcdata.text import padded, ratio, table

SHOWN_BYTES = 2_000
"""How much of a long document is shown by default."""

_LINE_NUMBER = 5
_COUNT = 5
_GAP = 2
_NARROWEST = 24
"""With fewer columns of text, a view goes below the others, not beside them."""
_LEAST = 12
"""The least columns of text on any terminal: the longest glyph has ten."""
_END = "│"


@dataclass(frozen=True)
class Run:
    """Raw bytes that lie in one line and in one unit."""

    raw: bytes
    unit: int
    ended_symbols: int
    """Symbols of the unit if it ends with this run, else 0."""


Line: TypeAlias = list[Run]
Glyph: TypeAlias = tuple[str, bool]
"""Printable text, and whether its unit is marked by colour."""


def show(
    dataset: Dataset,
    selector: str,
    views: Sequence[str] | None = None,
    width: int = 100,
    *,
    span: tuple[int, int] | None = None,
    colour: bool = False,
) -> str:
    """The document that ``selector`` names (see ``find_document``), in the given views or in all.

    ``span`` is the range of raw bytes to show, the first ``SHOWN_BYTES`` if it is None. The text is safe to print:
    its only escape sequences are those that ``colour`` asks for. Raises ``OptionError`` and ``DatasetError``.
    """
    names = [view.name for view in dataset.manifest.views] if views is None else list(views)
    for name in names:
        dataset.manifest.view(name)  # an unknown one is refused before anything is read
    document = find_document(dataset, selector)
    alignments = {name: document.alignment(name) for name in names}
    raw = document.raw
    start, end = _checked_span(span, len(raw))
    columns = {name: lines_of(raw, points, start, end) for name, points in alignments.items()}
    if not columns:
        columns = {"raw": lines_of(raw, _bytes_in_lines(raw), start, end)}
    first_line = 1 + int(np.count_nonzero(raw[:start] == ord("\n")))
    lines = [*_heading(document), "", *_summary(len(raw), alignments)]
    for group in _groups(list(columns), width) if len(raw) else []:
        lines += ["", *_body({name: columns[name] for name in group}, first_line, width, colour)]
    return "\n".join([*lines, *_closing(start, end, len(raw))])


def _checked_span(span: tuple[int, int] | None, length: int) -> tuple[int, int]:
    start, end = (0, SHOWN_BYTES) if span is None else span
    if span is not None and not 0 <= start < end:
        raise OptionError(f"--bytes {start}:{end} is not a range; give A:B with 0 ≤ A < B")
    if span is not None and start >= max(length, 1):
        raise OptionError(f"--bytes begins at {start}, past the document's {length:,} bytes")
    return start, min(end, length)


def lines_of(raw: NDArray[np.uint8], points: Alignment, start: int, end: int) -> list[Line]:
    """Bytes ``start`` … ``end`` of a document as runs, line by line."""
    line_ends = np.flatnonzero(raw[start:end] == ord("\n")) + start + 1
    inner = points.raw_ends[(points.raw_ends > start) & (points.raw_ends < end)]
    edges = np.unique(np.concatenate([line_ends, inner, [end]])) if end > start else np.zeros(0, np.int64)
    units = np.searchsorted(points.raw_ends, edges, side="left")  # the unit that the byte before the edge is in
    unit_symbols = np.diff(points.symbol_ends, prepend=0)
    lines: list[Line] = [[]]
    for edge, unit in zip(edges.tolist(), units.tolist(), strict=True):
        ended = int(unit_symbols[unit]) if points.raw_ends[unit] == edge else 0
        lines[-1].append(Run(raw[start:edge].tobytes(), unit, ended))
        start = edge
        if raw[edge - 1] == ord("\n"):
            lines.append([])
    return lines if lines[-1] else lines[:-1]


def _bytes_in_lines(raw: NDArray[np.uint8]) -> Alignment:
    """Units for a dataset without views: the lines."""
    ends = np.unique(np.append(np.flatnonzero(raw == ord("\n")) + 1, len(raw)))
    ends = ends[ends > 0].astype(np.int64)
    return Alignment(ends, ends)


def _heading(document: Document) -> list[str]:
    part = document.part_start_bytes
    cut = f" · a part: begins at byte {part:,} of its file" if part else ""
    return [
        f"document {overall_number(document)} ({document.split.name}:{document.number})  {safe(document.path)}",
        f"{safe(document.lang)} · {safe(document.source)} · {len(document.raw):,} bytes · id {document.doc_id}{cut}",
    ]


def _summary(n_bytes: int, alignments: dict[str, Alignment]) -> list[str]:
    rows = [["view", "symbols", "raw bytes/symbol", "units", "raw bytes/unit"]]
    for name, points in alignments.items():
        symbols = int(points.symbol_ends[-1]) if len(points.symbol_ends) else 0
        units = len(points.raw_ends)
        per_symbol = n_bytes / symbols if symbols else None
        per_unit = n_bytes / units if units else None
        rows.append([name, f"{symbols:,}", ratio(per_symbol), f"{units:,}", ratio(per_unit, 1)])
    return table(rows) if alignments else ["  the dataset has no views"]


def _groups(names: list[str], width: int) -> list[list[str]]:
    """Views side by side: as many as fit."""
    room = (width - _LINE_NUMBER + 1) // (_NARROWEST + _COUNT + 1 + _GAP)
    beside = min(max(room, 1), len(names))
    return [names[first : first + beside] for first in range(0, len(names), beside)]


def _body(columns: dict[str, list[Line]], first_line: int, width: int, colour: bool) -> list[str]:
    text_width = max((width - _LINE_NUMBER) // len(columns) - _GAP - _COUNT - 1, _LEAST)
    gap = " " * _GAP
    heads = [padded("sym", _COUNT, right=True) + " " + padded(name[:text_width], text_width) for name in columns]
    rules = ["─" * (_COUNT + 1 + text_width) for _ in columns]
    lines = [padded("line", _LINE_NUMBER) + gap + gap.join(heads).rstrip()]
    lines.append("─" * _LINE_NUMBER + gap + gap.join(rules))
    for number, cells in enumerate(zip(*columns.values(), strict=True), start=first_line):
        printed = [_cell(line, text_width, colour) for line in cells]
        empty = " " * (_COUNT + 1 + text_width)
        for row, parts in enumerate(zip_longest(*printed, fillvalue=empty)):
            label = str(number) if row == 0 else ""
            lines.append((label.rjust(_LINE_NUMBER) + gap + gap.join(parts)).rstrip())
    return lines


def _cell(line: Line, width: int, colour: bool) -> list[str]:
    """One line of the document in one view, wrapped to rows of ``width`` columns of text."""
    marked = [glyph for run in line for glyph in _run_glyphs(run, colour)]
    rows: list[list[Glyph]] = [[]]
    room = width
    for glyph in marked:
        needed = display_width(glyph[0])
        if needed > room and rows[-1]:
            rows.append([])
            room = width
        rows[-1].append(glyph)
        room -= needed
    ended = sum(run.ended_symbols for run in line)
    counts = [str(ended) if ended else ""] + [""] * (len(rows) - 1)
    return [count.rjust(_COUNT) + " " + _row(row, width) for count, row in zip(counts, rows, strict=True)]


def _run_glyphs(run: Run, colour: bool) -> list[Glyph]:
    if colour:
        return [(glyph, run.unit % 2 == 1) for glyph in glyphs(run.raw)]
    plain = [(f"\\u{ord(_END):04x}" if glyph == _END else glyph, False) for glyph in glyphs(run.raw)]
    if run.ended_symbols:
        plain[-1] = (plain[-1][0] + _END, False)  # together, so that they are not wrapped apart
    return plain


def _row(row: list[Glyph], width: int) -> str:
    used = sum(display_width(text) for text, _ in row)
    styled = ""
    for mark, run in groupby(row, key=lambda glyph: glyph[1]):
        text = "".join(glyph for glyph, _ in run)
        styled += click.style(text, fg="cyan", underline=True) if mark else text
    return styled + " " * (width - used)


def _closing(start: int, end: int, length: int) -> list[str]:
    if start == 0 and end == length:
        return []
    following = (end, min(end + (end - start), length)) if end < length else (0, min(SHOWN_BYTES, length))
    return ["", f"bytes {start:,} … {end:,} of {length:,}; see others with --bytes {following[0]}:{following[1]}"]
