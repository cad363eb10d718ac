"""Collisions and ambiguity of units, against all pairs of units."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pcdata.inspection.units import ambiguous, colliding


@given(
    st.lists(st.tuples(st.sampled_from([b"1", b"2", b"12"]), st.sampled_from([b"a", b"b", b"c", b"ab"])), max_size=9)
)
def test_both_are_counted_in_units_as_they_occur(units: list[tuple[bytes, bytes]]) -> None:
    counts = Counter(units)
    assert colliding(counts) == sum(any(a == c and b != d for c, d in units) for a, b in units)
    assert ambiguous(counts) == sum(any(a != c and b == d for c, d in units) for a, b in units)


def test_known_units() -> None:
    units = Counter({(b"1", b"a"): 5, (b"1", b"b"): 1, (b"2", b"a"): 2, (b"3", b"c"): 7})
    assert (colliding(units), ambiguous(units)) == (6, 7)
