"""Errors of torch, numpy and gloo that are not bugs, in a sentence: too little memory, or a process that
has ended."""

from __future__ import annotations

import re
from typing import Final

_AMOUNT: Final = re.compile(r"(?:tried|unable) to allocate ([\d.,]+ *\w+)", re.IGNORECASE)
"""In the words of torch, on a CPU and on a GPU, and of numpy."""
_PEERS: Final = ("DistBackendError", "DistNetworkError")
"""Classes of ``torch.distributed``. Errors of gloo have no class, but name its source."""


def of_memory(error: BaseException) -> str | None:
    """An out-of-memory error in words, with the amount requested; None for other errors."""
    found = _AMOUNT.search(str(error))
    says_so = isinstance(error, RuntimeError) and (found or "out of memory" in str(error))
    if not isinstance(error, MemoryError) and not says_so:
        return None
    return f"not enough memory{f' ({found[1]} more needed)' if found else ''}"


def of_peer(error: BaseException) -> str | None:
    """A lost process of the group in words; None for other errors."""
    if type(error).__name__ not in _PEERS and not (isinstance(error, RuntimeError) and "gloo/transport" in str(error)):
        return None
    return "another process of this run has ended or cannot be reached; what it said is the reason"
