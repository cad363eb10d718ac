"""The tables of a page: Markdown between marks is rewritten, the text around them is kept.

Everything between ``<!-- table: arms -->`` and ``<!-- end -->`` is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.study.comparison import Comparison, Mean
from tools.study.plan import StudyError
from tools.study.table import Row

_MARKED: Final = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
UNDEFINED: Final = "–"


def markdown(table: Sequence[Sequence[str]], words: int = 1) -> str:
    """The first row is the heading; the first ``words`` columns are left-aligned, the others right-aligned."""
    head, *body = table
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *body))


def write_tables(page: Path, tables: dict[str, str]) -> None:
    """Raises ``StudyError`` for a page that cannot be read, or has marks for an unknown table."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{page} cannot be read: {error.strerror}") from None

    def table(found: re.Match[str]) -> str:
        if found[2] not in tables:
            raise StudyError(f"{page} asks for the table {found[2]!r}; there are: {', '.join(tables)}")
        return f"{found[1]}{tables[found[2]]}{found[3]}"

    page.write_text(_MARKED.sub(table, text), encoding="utf-8")


def arms_table(rows: Sequence[Row]) -> str:
    """Every arm: its budget and its result."""
    head = ["arm", "what", "seeds", "raw bits/byte", "flops", "raw symbols", "compressed", "raw bytes", "epochs"]
    head += ["transfer", "rate", "price"]
    body = [
        [
            row.arm,
            row.what,
            str(row.seeds),
            _mean(Mean(row.bits_per_byte, row.deviation), ".4f"),
            f"{row.spent.flops:.2e}",
            _millions(row.spent.raw_symbols),
            _millions(row.spent.compressed_symbols),
            _millions(row.spent.raw_bytes),
            f"{row.spent.epochs:.2f}",
            _or_undefined(row.transfer, "+.3f"),
            _or_undefined(row.exchange_rate, ".2f"),
            _or_undefined(row.price, ".2f"),
        ]
        for row in rows
    ]
    return markdown([head, *body], words=2)


def methods_table(compared: Sequence[Comparison], baselines: Mapping[str, float]) -> str:
    """Every arm against raw bytes alone and its placebo; below, what needs no training of a model."""
    head = ["arm", "what", "seeds", "raw bits/byte", "at equal positions", "at equal flops", "placebo", "positions"]
    head += ["flops", "bytes/parameter", "learning rate"]
    body = [
        [
            one.arm,
            one.what,
            str(one.seeds),
            _mean(one.bits_per_byte, ".4f"),
            _mean(one.at_equal_positions, "+.4f"),
            _mean(one.at_equal_flops, "+.4f"),
            _mean(one.placebo, "+.4f"),
            _millions(one.positions),
            f"{one.flops:.2e}",
            f"{one.bytes_per_parameter:.1f}",
            f"{one.lr:g}",
        ]
        for one in compared
    ]
    lines = [[name, "", "", f"{bits:.4f}", *[""] * (len(head) - 4)] for name, bits in baselines.items()]
    return markdown([head, *body, *lines], words=2)


def tuning_table(tuned: Mapping[str, Mapping[float, float]]) -> str:
    """Raw bits per byte of short runs at each learning rate, the best in bold; empty for a study without tuning."""
    rates = sorted({rate for bits in tuned.values() for rate in bits})
    body = [
        [arm, *(_tried(bits.get(rate), is_best=rate == min(bits, key=bits.__getitem__)) for rate in rates)]
        for arm, bits in tuned.items()
    ]
    return markdown([["arm", *(f"{rate:g}" for rate in rates)], *body]) if body else ""


def _tried(bits: float | None, *, is_best: bool) -> str:
    return "" if bits is None else f"**{bits:.4f}**" if is_best else f"{bits:.4f}"


def edits_table(rows: Sequence[Row]) -> str:
    """Bits per byte of edited documents, minus those of the same documents unedited: raw, and in the arm's view."""
    measured = [row for row in rows if row.measured]
    if not measured:
        return ""
    edits = [name for name in measured[0].measured["edits"] if name != "none"]
    body = []
    for row in measured:
        found = row.measured["edits"]
        for how in found["none"]:
            worse = [f"{found[edit][how] - found['none'][how]:+.3f}" for edit in edits]
            body.append([row.arm, how, f"{found['none'][how]:.3f}", *worse])
    return markdown([["arm", "read as", "unedited", *edits], *body], words=2)


def translation_table(rows: Sequence[Row]) -> str:
    """The distance of the raw text after a compressed span from the true one."""
    body = [
        [row.arm, str(found["spans"]), f"{found['distance']:.3f}", f"{found['control']:.3f}"]
        for row in rows
        if (found := row.measured.get("translation"))
    ]
    return markdown([["arm", "spans", "distance", "control"], *body])


def stability_table(rows: Sequence[Row], stability: Mapping[str, float]) -> str:
    """Transfer, and the view's stability from ``pcdata probe``, the most stable first."""
    placed = [row for row in rows if row.view in stability and row.transfer is not None]
    placed.sort(key=lambda row: stability[row.view])
    body = [[row.arm, row.view, f"{stability[row.view]:.3f}", f"{row.transfer:+.3f}"] for row in placed]
    return markdown([["arm", "view", "mean distance", "transfer"], *body], words=2)


def _mean(mean: Mean | None, spec: str) -> str:
    if mean is None:
        return UNDEFINED
    return format(mean.value, spec) + ("" if mean.deviation is None else f" ± {mean.deviation:.4f}")


def _millions(number: float) -> str:
    return f"{number / 1e6:.2f} M"


def _or_undefined(value: float | None, spec: str) -> str:
    return UNDEFINED if value is None else format(value, spec)


TABLES: Final[dict[str, Callable[[Sequence[Row]], str]]] = {
    "arms": arms_table,
    "edits": edits_table,
    "translation": translation_table,
}
