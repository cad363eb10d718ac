"""Telling the kernel which parts of a mapped file will be read, where it would guess wrong.

Left alone it reads ahead around every place that is touched: as much as a whole block where the disk is set so, of
which a reader that picks documents uses little. Advice changes no result, so where it cannot be given none is.
"""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

_GIVEN = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED")
"""Whether this system takes advice. Through ``ctypes``, because ``mmap.madvise`` knows its own mappings alone."""


def map_random(path: Path) -> mmap.mmap:
    """Map a file of which nothing is to be read but what is touched, page by page, or asked for (``will_need``).

    Not by ``pyarrow.memory_map``, which asks the kernel for the whole of each record batch that it is asked for.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if _GIVEN:
        mapped.madvise(mmap.MADV_RANDOM)
    return mapped


def will_need(array: NDArray[Any]) -> None:
    """Begin to read a contiguous array of a mapped file, and do not wait for it."""
    if _GIVEN and array.size:
        address = array.ctypes.data
        begin = address - address % mmap.PAGESIZE
        _madvise(begin, address + array.nbytes - begin, mmap.MADV_WILLNEED)


if _GIVEN:
    _madvise = ctypes.CDLL(None).madvise
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
