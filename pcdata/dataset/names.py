"""Names read from a file are checked before they are joined to a folder.

A manifest, an artifact's record or a checkpoint's list of files may come from a stranger. ``inside`` is the only way
from a name in them to a path on disk.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from pcdata.errors import DatasetError

TEMPORARY: Final = ".tmp"
"""The ending of a file's name while it is written."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_VIEW: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def is_view_name(name: str) -> bool:
    """Whether a view may have this name, which is also its folder's."""
    return bool(_VIEW.fullmatch(name)) and name != "raw" and not name.endswith(TEMPORARY)


def check_path(path: str) -> str:
    """The same path, relative and with ``/`` between plain names. Raises ``DatasetError`` for any other."""
    names = path.split("/")
    if not all(_NAME.fullmatch(name) and not name.endswith(TEMPORARY) for name in names):
        raise DatasetError(
            f"{path!r} is no path of a file inside the folder; a name has letters, digits, '_', '-' and '.', and does "
            f"not begin with '-' or '.' nor end with {TEMPORARY}"
        )
    return path


def inside(folder: Path, path: str) -> Path:
    """The path of ``path`` in ``folder``. Raises ``DatasetError`` if it leads out, by its names or a symbolic link."""
    found = folder / check_path(path)
    if not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(folder)):
        raise DatasetError(f"{found} leads out of {folder} by a symbolic link; put the file itself there")
    return found


def regular_file(folder: Path, path: str) -> Path:
    """The same for an existing file to be read. Raises ``DatasetError`` for a fifo, a device or a folder, and
    ``OSError`` if the system does."""
    found = inside(folder, path)
    if not stat.S_ISREG(found.stat().st_mode):
        raise DatasetError(f"{found} is not a regular file; put one there, or remove it")
    return found
