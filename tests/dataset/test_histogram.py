"""Units are counted by the bit length of their raw bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pcdata.dataset.histogram import BIT_LENGTHS, unit_histogram

LARGE = [1, 2, 3, 4, 255, 256, 65_535, 65_536, 2**31, 2**32 - 1, 2**24 + 1, 2**25 - 1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(LARGE, np.uint32), (LARGE[:7], np.uint16), ([*range(256)] * 300, np.uint8), ([], np.uint8), ([], np.uint32)],
)
def test_bit_lengths_are_those_of_python(values: list[int], dtype: Any) -> None:
    expected = [sum(value.bit_length() == length for value in values) for length in range(BIT_LENGTHS)]
    assert unit_histogram(np.array(values, dtype)).tolist() == expected
