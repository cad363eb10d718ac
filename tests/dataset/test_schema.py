"""Column types follow from a view's maxima, and alignment from unit lengths."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset import DatasetError
from pcdata.dataset.alignment import alignment_of
from pcdata.dataset.schema import ViewTypes, smallest_dtype, view_schema


@pytest.mark.parametrize(
    ("maximum", "name"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65_535, "uint16"), (65_536, "uint32"), (2**32 - 1, "uint32")],
)
def test_smallest_dtype_at_its_edges(maximum: int, name: str) -> None:
    assert smallest_dtype(maximum).name == name


@pytest.mark.parametrize("maximum", [-1, 2**32])
def test_no_dtype_past_the_edges(maximum: int) -> None:
    with pytest.raises(DatasetError, match="no column type holds"):
        smallest_dtype(maximum)


def test_a_symbol_type_holds_the_largest_symbol_not_their_number() -> None:
    assert ViewTypes(256, 1, 1).symbol_dtype == np.uint8
    assert ViewTypes(65_536, 1, 1).symbol_dtype == np.uint16


def test_unit_symbols_are_stored_only_where_they_say_something() -> None:
    assert view_schema(ViewTypes(65_536, 300, 1)).names == ["doc_id", "symbols", "unit_bytes"]
    many = view_schema(ViewTypes(256, 300, 70_000))
    assert many.names == ["doc_id", "symbols", "unit_bytes", "unit_symbols"]
    assert [field.type for field in many][1:] == [
        pa.large_list(pa.uint8()),
        pa.large_list(pa.uint16()),
        pa.large_list(pa.uint32()),
    ]


@given(st.lists(st.tuples(st.integers(1, 255), st.integers(1, 255))))
def test_alignment_is_the_running_sum(units: list[tuple[int, int]]) -> None:
    unit_bytes = np.array([raw for raw, _ in units], np.uint8)
    unit_symbols = np.array([symbols for _, symbols in units], np.uint8)
    points = alignment_of(unit_bytes, unit_symbols)
    assert points.raw_ends.tolist() == [sum(unit_bytes[: n + 1].tolist()) for n in range(len(units))]
    assert points.symbol_ends.tolist() == [sum(unit_symbols[: n + 1].tolist()) for n in range(len(units))]
    assert alignment_of(unit_bytes, None).symbol_ends.tolist() == list(range(1, len(units) + 1))
