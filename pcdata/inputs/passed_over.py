"""Folders in an input that a build skips without ``--no-default-excludes``: those made by tools, and those written by
pcdata and pctrain. Each is counted by its reason."""

from __future__ import annotations

import os
from typing import Final

NEVER_DOCUMENTS: Final = (b".git", b".hg", b".svn", b"__pycache__")
"""Private folders of version control systems and Python."""

_MADE_BY_TOOLS: Final = frozenset(
    b".cache .eggs .gradle .hypothesis .ipynb_checkpoints .mypy_cache .next .nox .pytest_cache .ruff_cache .tox .venv "
    b"bower_components dist node_modules target venv".split()
)
"""Dependencies, caches and build results. A Python package may have such a name, as ``venv`` in Python itself does."""

_TAKES_IT: Final = "--no-default-excludes takes it, and so does naming it as an input"

_MANIFEST_BEGINS: Final = b'{\n "digest": "'
_MANIFEST_SAYS: Final = b'"format": "pcdata"'


def reason_to_pass_over(folder: bytes) -> tuple[str, str] | None:
    """Reason and detail, if a folder is skipped."""
    name = folder.rpartition(b"/")[2]
    if name in NEVER_DOCUMENTS:
        return "excluded", "holds no documents, by its name"  # existing datasets contain this text
    if name in _MADE_BY_TOOLS and not _has(folder, b"__init__.py"):
        return f"folder {name.decode()}", f"a tool made it, by its name; {_TAKES_IT}"
    what = _what_it_is(folder)
    return None if what is None else (what, f"by what is in it; {_TAKES_IT}")


def _what_it_is(folder: bytes) -> str | None:
    if _is_manifest(folder + b"/manifest.json"):
        return "dataset of pcdata"
    if _has(folder, b".build/options.json") and _has(folder, b".build/inputs"):
        return "unfinished build of pcdata"
    if _has(folder, b"config.json") and _has(folder, b"metrics.jsonl"):
        return "run of pctrain"
    return "virtual environment" if _has(folder, b"pyvenv.cfg") else "cache" if _has(folder, b"CACHEDIR.TAG") else None


def _has(folder: bytes, name: bytes) -> bool:
    return os.path.lexists(folder + b"/" + name)


def _is_manifest(path: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        begin = os.read(descriptor, 200)
    except OSError:
        return False  # a folder; or it is read as a document, which reports the error
    finally:
        os.close(descriptor)
    return begin.startswith(_MANIFEST_BEGINS) and _MANIFEST_SAYS in begin
