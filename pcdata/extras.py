"""Optional packages: which extra installs each, and the error if one is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from pcdata.errors import OptionError

EXTRAS: Final = {
    "matplotlib": "plot",
    "rapidfuzz": "probe",
    "ray": "ray",
    "safetensors": "train",
    "torch": "train",
    "zlib_ng": "zlib-ng",
}


def require(module: str, who: str) -> None:
    """Raise ``OptionError`` if a module that ``who`` needs is not installed."""
    if find_spec(module) is None:
        raise OptionError(missing(module, who))


def missing(module: str, who: str) -> str:
    return f'{who} needs {module}; pip install "proxy-compression[{EXTRAS[module]}]"'
