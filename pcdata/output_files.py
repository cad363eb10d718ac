"""Files that a command makes whole, figures and pages: one of the kind that is there is replaced, and nothing else is.

``pcdata.dataset.files.appearing_file`` writes them, so that there is the old one or the new one at any time. A folder
that is there is never replaced.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from pcdata.errors import OptionError


class Kind(NamedTuple):
    noun: str
    endings: tuple[str, ...]
    beginnings: tuple[bytes, ...]
    """Of the content, in lower case."""


FIGURE: Final = Kind("figure", (".png", ".pdf", ".svg"), (b"\x89png", b"%pdf", b"<?xml", b"<svg"))
PAGE: Final = Kind("page", (".html", ".htm"), (b"<!doctype html", b"<html"))


def check_output(option: str, output: Path, kind: Kind) -> bool:
    """Before hours of work: whether there is a file that will be replaced. Raises ``OptionError`` if nothing can be
    written there, or something else would be lost."""
    if output.suffix.lower() not in kind.endings:
        raise OptionError(f"{option} {output} must end in {', '.join(kind.endings)}")
    if not output.absolute().parent.is_dir():
        raise OptionError(f"{option} {output}: there is no folder {output.parent}; make it first")
    if output.is_dir():
        raise OptionError(f"{option} {output} is a folder; name a file")
    if not os.access(output.absolute().parent, os.W_OK):
        raise OptionError(f"{option} {output}: nothing may be written in {output.parent}; name another folder")
    is_there = output.exists() or output.is_symlink()
    if is_there and not _is_one(output, kind):
        raise OptionError(f"{option} {output} is there and is no {kind.noun}; remove it, or name another file")
    return is_there


def _is_one(path: Path, kind: Kind) -> bool:
    """Whether a file is of this kind, or empty: then nothing can be lost."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        beginning = file.read(64).lower()
    return not beginning or beginning.startswith(kind.beginnings)
