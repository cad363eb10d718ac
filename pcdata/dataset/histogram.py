"""The lengths of a view's units, as counted in the manifest: by the bit length of their raw bytes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BIT_LENGTHS: Final = 33
"""Of a uint32: 0 … 32."""

_COUNTED_AT_ONCE: Final = 1 << 15
"""Units. NumPy counts with 64 bits each; so few fit in the processor's cache, which halves the time."""


def unit_histogram(unit_bytes: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Entry k counts the units of 2^(k-1) … 2^k - 1 raw bytes. Shape [BIT_LENGTHS]."""
    if unit_bytes.dtype != np.uint8:
        # A float64 holds every uint32 exactly; its exponent is the bit length.
        return np.bincount(np.frexp(unit_bytes.astype(np.float64))[1], minlength=BIT_LENGTHS)
    sizes = np.zeros(256, np.int64)
    for first in range(0, len(unit_bytes), _COUNTED_AT_ONCE):
        sizes += np.bincount(unit_bytes[first : first + _COUNTED_AT_ONCE], minlength=256)
    histogram = np.zeros(BIT_LENGTHS, np.int64)
    np.add.at(histogram, [size.bit_length() for size in range(256)], sizes)
    return histogram
