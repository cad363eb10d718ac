"""Output files of commands, such as figures and pages. An existing file of the same kind is replaced, and nothing else.

``pcdata.dataset.files.appearing_file`` writes them, so that at any time either the old or the new file is there. A
folder is never replaced.
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
    """How the content may begin, in lower case."""


FIGURE: Final = Kind("figure", (".png", ".pdf", ".svg"), (b"\x89png", b"%pdf", b"<?xml", b"<svg"))
PAGE: Final = Kind("page", (".html", ".htm"), (b"<!doctype html", b"<html"))


def check_output(option: str, output: Path, kind: Kind) -> bool:
    """Before hours of work: whether an existing file will be replaced. Raises ``OptionError`` if the file cannot be
    written, or something else would be lost."""
    if output.suffix.lower() not in kind.endings:
        raise OptionError(f"{option} {output} must end in {', '.join(kind.endings)}")
    if not output.absolute().parent.is_dir():
        raise OptionError(f"{option} {output}: there is no folder {output.parent}; create it first")
    if output.is_dir():
        raise OptionError(f"{option} {output} is a folder; name a file")
    if not os.access(output.absolute().parent, os.W_OK):
        raise OptionError(f"{option} {output}: the folder {output.parent} is not writable; name another folder")
    is_there = output.exists() or output.is_symlink()
    if is_there and not _is_one(output, kind):
        raise OptionError(f"{option} {output} exists and is not a {kind.noun}; remove it, or name another file")
    return is_there


def _is_one(path: Path, kind: Kind) -> bool:
    """Whether a file is of this kind, or empty, so that nothing can be lost."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        beginning = file.read(64).lower()
    return not beginning or beginning.startswith(kind.beginnings)
