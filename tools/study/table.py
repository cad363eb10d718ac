"""Results → rows: one per arm, all seeds together.

Means over seeds; ± is the standard deviation over them, if there are at least two. Transfer is the placebo's bits per
byte minus the arm's: what was learnt from the order of the compressed symbols.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.study.exchange import RawCurve, price, rate
from tools.study.plan import PLACEBO, Arm, Study
from tools.study.trial import Result, Spent


@dataclass(frozen=True)
class Row:
    arm: str
    what: str
    size: str
    view: str
    seeds: int
    parameters: int
    spent: Spent
    """Of the first seed; the others differ by the order of documents."""
    bits_per_byte: float
    deviation: float | None
    standard_error: float | None
    """Over documents, of the first seed."""
    transfer: float | None
    exchange_rate: float | None
    price: float | None
    measured: dict[str, Any]


def rows(study: Study, results: Mapping[str, Sequence[Result]]) -> list[Row]:
    """Rows of the arms that have results, in the study's order."""
    curves = {size: raw_curve(study, results, size) for size in study.sizes}
    return [_row(arm, results, curves[arm.size]) for arm in study.arms.values() if arm.name in results]


def raw_curve(study: Study, results: Mapping[str, Sequence[Result]], size: str) -> RawCurve:
    """The curve of the plain raw arms of one size."""
    plain = [name for name in study.plain_raw(size) if name in results]
    points = sorted((_mean_raw_symbols(results[name]), _mean_bits(results[name])) for name in plain)
    per_position = results[plain[0]][0].flops_per_position if plain else 1
    return RawCurve([symbols for symbols, _ in points], [bits for _, bits in points], per_position)


def _row(arm: Arm, results: Mapping[str, Sequence[Result]], curve: RawCurve) -> Row:
    found = results[arm.name]
    first, bits = found[0], [each.bits_per_byte for each in found]
    placebo = results.get(arm.name + PLACEBO)
    return Row(
        arm=arm.name,
        what=arm.what,
        size=arm.size,
        view=arm.view,
        seeds=len(found),
        parameters=first.parameters,
        spent=first.spent,
        bits_per_byte=statistics.fmean(bits),
        deviation=statistics.stdev(bits) if len(bits) > 1 else None,
        standard_error=first.standard_error,
        transfer=_mean_bits(placebo) - statistics.fmean(bits) if placebo else None,
        exchange_rate=rate(curve, statistics.fmean(bits), first.spent),
        price=price(curve, first.spent),
        measured=first.measured,
    )


def _mean_bits(found: Sequence[Result]) -> float:
    return statistics.fmean(each.bits_per_byte for each in found)


def _mean_raw_symbols(found: Sequence[Result]) -> float:
    return statistics.fmean(each.spent.raw_symbols for each in found)
