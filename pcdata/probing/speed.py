"""The speed of a compressor on one core, in raw bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

PASSES: Final = 5
_PASS_SECONDS: Final = 0.2
"""The least time of a pass, if there are enough documents."""


@dataclass(frozen=True)
class Speed:
    mb_per_s: float
    """Raw megabytes (10^6) per second: the median of ``PASSES`` passes after at least one to warm up."""
    raw_bytes: int
    """Of one pass: fewer for a slow compressor."""


def measure(work: Callable[[int], object], lengths: Sequence[int]) -> Speed:
    """Time ``work(count)``, which must process the first ``count`` documents; ``lengths`` are their raw bytes."""
    count = 1
    while _seconds(work, count) < _PASS_SECONDS and count < len(lengths):
        count = min(2 * count, len(lengths))
    raw_bytes = sum(lengths[:count])
    return Speed(raw_bytes / statistics.median(_seconds(work, count) for _ in range(PASSES)) / 1e6, raw_bytes)


def _seconds(work: Callable[[int], object], count: int) -> float:
    began = time.perf_counter()
    work(count)
    return time.perf_counter() - began
