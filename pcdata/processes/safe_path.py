"""Python processes that run no code from the working folder.

Python puts the working folder first on the module path of what is started by ``-c``, as ``multiprocessing`` starts all
its processes. The folder may be somebody else's dataset, and hold a ``socket.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLE = "PYTHONSAFEPATH"
_PACKAGES = str(Path(__file__).parents[2])


@contextmanager
def safe_path() -> Iterator[None]:
    """Processes that are started inside find modules where this one does, but never in the working folder."""
    variable, path = os.environ.get(_VARIABLE), sys.path[:]
    os.environ[_VARIABLE] = "1"
    if "" in path:
        # pcdata may have been found there itself; last in line, it can stand in the way of nothing.
        sys.path[:] = [*filter(None, path), _PACKAGES]
    try:
        yield
    finally:
        sys.path[:] = path
        if variable is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = variable
