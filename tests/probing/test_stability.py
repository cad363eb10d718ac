"""Distance and lag, against slow calculations from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pcdata.dataset.alignment import alignment_of
from pcdata.probing.stability import Encoded, Lag, distance, lag
from tests.probing.slow import slow_distance


@given(st.data(), st.sampled_from([np.uint8, np.uint16, np.uint32]))
def test_the_distance_is_levenshteins_over_the_longer_length(data: st.DataObject, dtype: type) -> None:
    most = int(np.iinfo(dtype).max)
    symbols = st.lists(st.sampled_from([0, 1, 0xD800 % most, most - 1, most]), max_size=90)
    left, right = data.draw(symbols), data.draw(symbols)
    assume(left or right)
    found = distance(np.array(left, dtype), np.array(right, dtype))
    assert found == slow_distance(left, right) / max(len(left), len(right))


def test_a_distance_wider_than_the_first_guess_is_exact() -> None:
    left, right = np.arange(700, dtype=np.uint16), np.arange(1000, 1900, dtype=np.uint16)
    assert distance(left, right) == 1.0
    right[300:1000] = left[:600]
    assert distance(left, right) == slow_distance(left.tolist(), right.tolist()) / 900


def test_nothing_has_no_distance() -> None:
    with pytest.raises(ValueError, match="two empty sequences"):
        distance(np.zeros(0, np.uint8), np.zeros(0, np.uint8))


def encoded(units: list[tuple[str, int]]) -> Encoded:
    """Units as (their symbols, raw bytes)."""
    symbols = np.frombuffer("".join(text for text, _ in units).encode(), np.uint8)
    lengths = [len(text) for text, _ in units]
    return Encoded(symbols, alignment_of(np.array([n for _, n in units], np.uint8), np.array(lengths, np.uint8)))


def slow_lag(before: list[tuple[str, int]], after: list[tuple[str, int]], end: int) -> Lag:
    """Unit by unit from the end; then from the start, as far as units lie whole before the insertion's end."""
    common = 0
    while common < min(len(before), len(after)) and before[-1 - common] == after[-1 - common]:
        common += 1
    start = bytes_seen = 0
    for symbols, raw_bytes in after:
        bytes_seen += raw_bytes
        if bytes_seen > end:
            break
        start += len(symbols)
    agreeing = sum(len(symbols) for symbols, _ in after[len(after) - common :])
    return Lag(max(0, sum(len(symbols) for symbols, _ in after) - agreeing - start), common > 0)


UNITS = st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "aab"]), st.integers(1, 3)), max_size=12)


@given(UNITS, UNITS, UNITS, st.integers(0, 40))
def test_the_lag_is_counted_in_whole_units(
    head: list[tuple[str, int]], inserted: list[tuple[str, int]], tail: list[tuple[str, int]], end: int
) -> None:
    before, after = head + tail, head + inserted + tail
    assert lag(encoded(before), encoded(after), end) == slow_lag(before, after, end)
    assert lag(encoded(before), encoded(inserted), end) == slow_lag(before, inserted, end)


def test_the_lag_of_known_cases() -> None:
    tail = [("c", 1), ("d", 2), ("e", 1)]
    before = [("ab", 4), *tail]
    assert lag(encoded(before), encoded([("ab", 4), ("x", 2), *tail]), 6) == Lag(0, agrees=True)
    assert lag(encoded(before), encoded([("ab", 4), ("x", 3), *tail[1:]]), 6) == Lag(1, agrees=True)
    assert lag(encoded(before), encoded([("ab", 4), ("x", 3), ("d", 2), ("q", 1)]), 6) == Lag(3, agrees=False)
    split_otherwise = encoded([("ab", 4), ("xc", 3), ("de", 3)])
    assert lag(encoded(before), split_otherwise, 6) == Lag(4, agrees=False), "same symbols, other units"
