"""What trials found, made up."""

from __future__ import annotations

from collections.abc import Sequence

from tools.study.trial import Result, Spent

FLOPS = 100


def spent(raw_symbols: int, compressed_symbols: int, flops: float = 1e6) -> Spent:
    positions = raw_symbols + compressed_symbols
    return Spent(10, positions, flops, raw_symbols, compressed_symbols, 5 * positions, 0.5)


def result(arm: str, seed: int, bits: float, what: Spent, per_position: int = FLOPS) -> Result:
    return Result(f"{arm}-s{seed}", arm, seed, "", {}, "", "", "", 1, 320, per_position, what, bits, 0.1, None)


def results() -> dict[str, Sequence[Result]]:
    return {
        "raw": [result("raw", 0, 3.0, spent(10_000, 0))],
        "bpe": [result("bpe", 0, 3.5, spent(4_000, 1_000)), result("bpe", 4, 3.7, spent(4_000, 1_000))],
        "bpe-placebo": [result("bpe-placebo", 0, 3.9, spent(4_000, 1_000))],
    }
