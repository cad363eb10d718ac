"""What torch, numpy and gloo say that is no bug of anybody's, in a sentence: memory that there is not, a process that
is gone."""

from __future__ import annotations

import re
from typing import Final

_AMOUNT: Final = re.compile(r"(?:tried|unable) to allocate ([\d.,]+ *\w+)", re.IGNORECASE)
"""As torch says it of a CPU and of a GPU, and numpy."""
_PEERS: Final = ("DistBackendError", "DistNetworkError")
"""Classes of ``torch.distributed``; of gloo's errors there is none, but they name its source."""


def of_memory(error: BaseException) -> str | None:
    """That the memory does not suffice, if that is what it says, and how much more was wanted."""
    found = _AMOUNT.search(str(error))
    says_so = isinstance(error, RuntimeError) and (found or "out of memory" in str(error))
    if not isinstance(error, MemoryError) and not says_so:
        return None
    return f"the memory does not suffice{f' ({found[1]} more were wanted)' if found else ''}"


def of_peer(error: BaseException) -> str | None:
    """That another process of those that are one is gone, if that is what it says."""
    if type(error).__name__ not in _PEERS and not (isinstance(error, RuntimeError) and "gloo/transport" in str(error)):
        return None
    return "another process of this run has ended or cannot be reached; what it said is the reason"
