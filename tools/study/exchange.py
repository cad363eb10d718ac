"""What a compressed symbol is worth in raw ones, and what it costs.

Raw-only runs of several budgets, each with a schedule of its own, say how many raw symbols reach how many bits per
byte. A proxy run is worth as many raw symbols as reach its bits; what is left of them when the raw symbols that it had
itself are taken away, over its compressed symbols, is the *exchange rate*. The *price* of a compressed symbol is what
the run cost beyond its raw symbols, in positions of the raw-only model. Training through the proxy pays where the rate
is above the price.
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
        """The raw symbols that reach these bits; between two runs, linear in the logarithm. None beyond the runs."""
        if len(self.bits_per_byte) < 2 or not min(self.bits_per_byte) <= bits_per_byte <= max(self.bits_per_byte):
            return None
        order = np.argsort(self.bits_per_byte)
        bits, symbols = np.array(self.bits_per_byte)[order], np.array(self.raw_symbols)[order]
        return math.exp(np.interp(bits_per_byte, bits, np.log(symbols)))


def rate(curve: RawCurve, bits_per_byte: float, spent: Spent) -> float | None:
    """Raw symbols that one compressed symbol was worth; None where the curve does not reach."""
    worth = curve.symbols_for(bits_per_byte)
    if worth is None or not spent.compressed_symbols:
        return None
    return (worth - spent.raw_symbols) / spent.compressed_symbols


def price(curve: RawCurve, spent: Spent) -> float | None:
    """Raw positions that one compressed symbol cost; None without raw-only runs, which say what a position costs."""
    if not curve.raw_symbols or not spent.compressed_symbols:
        return None
    return (spent.flops / curve.flops_per_position - spent.raw_symbols) / spent.compressed_symbols
