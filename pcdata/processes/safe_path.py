"""Python processes that run no code from the working folder.

Python puts the working folder first on the module path of processes started with ``-c``, as all processes of
``multiprocessing`` are. The folder may be a stranger's dataset, and contain a ``socket.py``.
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
    """Processes started inside find modules where this one does, but never in the working folder."""
    variable, path = os.environ.get(_VARIABLE), sys.path[:]
    os.environ[_VARIABLE] = "1"
    if "" in path:
        # pcdata itself may have been found there; at the end of the path, its folder cannot hide other modules.
        sys.path[:] = [*filter(None, path), _PACKAGES]
    try:
        yield
    finally:
        sys.path[:] = path
        if variable is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = variable
