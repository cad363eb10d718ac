"""Mapping files for reading, and telling the kernel which parts will be read.

A mapping needs no file descriptor, so none is kept: a dataset has more files than a process may have open. ``mmap`` and
``pyarrow.memory_map`` each keep one per mapped file, so the system is called directly.

A file that is truncated while mapped kills a process that reads past its end (SIGBUS). Files of a dataset are never
changed, only replaced, and a removed or replaced file stays mapped unchanged.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from numpy.typing import NDArray

_FAILED: Final = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class _Mapping:
    """Owner of a buffer's memory."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        self.size = size
        if self.address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def __del__(self, munmap: Any = _libc.munmap, failed: int | None = _FAILED) -> None:  # globals may be gone at exit
        if self.address != failed:
            munmap(self.address, self.size)


def map_file(path: Path, *, random: bool = False) -> pa.Buffer:
    """The content of a file, read-only, and read when touched; with ``random``, only what is touched is read.

    The buffer, and every array that is a view of it, may outlive the file's name. Raises ``OSError`` with its number.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # does not wait for a fifo
    try:
        size = os.fstat(descriptor).st_size
        if not size:
            return pa.py_buffer(b"")
        mapping = _Mapping(descriptor, size)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from None
    finally:
        os.close(descriptor)
    if random:
        _advise(mapping.address, size, mmap.MADV_RANDOM)
    return pa.foreign_buffer(mapping.address, size, base=mapping)


def will_need(array: NDArray[Any]) -> None:
    """Start reading a contiguous array of a mapped file, without waiting for it.

    By default the kernel reads ahead around every page that is touched: up to a whole block if the disk is configured
    so, of which a reader of single documents uses little.
    """
    if array.size:
        address = array.ctypes.data
        begin = address - address % mmap.PAGESIZE
        _advise(begin, address + array.nbytes - begin, mmap.MADV_WILLNEED)


def _advise(address: int, size: int, advice: int) -> None:
    """Advice changes no result, so errors are ignored."""
    _libc.madvise(address, size, advice)
