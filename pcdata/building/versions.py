"""Versions of Python and of libraries that determine the bytes of a dataset."""

from __future__ import annotations

import platform
from importlib import metadata

from pcdata.version import __version__


def library_versions() -> dict[str, str]:
    """Versions that every file depends on, whatever the codecs."""
    names = ("numpy", "pyarrow")
    return {
        "pcdata": __version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: metadata.version(name) for name in names},
    }
