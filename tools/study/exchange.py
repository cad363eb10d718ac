"""The worth of a compressed symbol in raw ones, and its cost.

Raw-only runs with several budgets, each with its own schedule, show how many raw symbols reach how many bits per byte.
A proxy run is worth the number of raw symbols that reach its bits. This number, minus the raw symbols that the run was
shown itself, per compressed symbol, is the *exchange rate*. The *price* of a compressed symbol is the cost of the run
beyond its raw symbols, in positions of the raw-only model. Training through the proxy pays if the rate is above the
price.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.study.trial import Spent


@dataclass(frozen=True)
class RawCurve:
    """Raw-only runs of one size, the cheapest first."""

    raw_symbols: Sequence[float]
    bits_per_byte: Sequence[float]
    flops_per_position: int

    def symbols_for(self, bits_per_byte: float) -> float | None:
        """The raw symbols that reach these bits, linear in the logarithm between two runs; None outside the runs."""
        if len(self.bits_per_byte) < 2 or not min(self.bits_per_byte) <= bits_per_byte <= max(self.bits_per_byte):
            return None
        order = np.argsort(self.bits_per_byte)
        bits, symbols = np.array(self.bits_per_byte)[order], np.array(self.raw_symbols)[order]
        return math.exp(np.interp(bits_per_byte, bits, np.log(symbols)))


def rate(curve: RawCurve, bits_per_byte: float, spent: Spent) -> float | None:
    """Raw symbols that one compressed symbol was worth; None outside the curve."""
    worth = curve.symbols_for(bits_per_byte)
    if worth is None or not spent.compressed_symbols:
        return None
    return (worth - spent.raw_symbols) / spent.compressed_symbols


def price(curve: RawCurve, spent: Spent) -> float | None:
    """Raw positions that one compressed symbol cost; None without raw-only runs, which define a position's cost."""
    if not curve.raw_symbols or not spent.compressed_symbols:
        return None
    return (spent.flops / curve.flops_per_position - spent.raw_symbols) / spent.compressed_symbols
