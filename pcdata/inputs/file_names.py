"""File names, which are bytes, as text."""

from __future__ import annotations


def text_of(path: bytes) -> str:
    """A file name as text, unambiguously and in every locale the same: bytes that are not UTF-8 become surrogates."""
    return path.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The inverse of ``text_of``."""
    return text.encode("utf-8", "surrogateescape")


def printable(path: bytes) -> str:
    """A file name for users and JSON: bytes that are not UTF-8 become backslash escapes."""
    return path.decode("utf-8", "backslashreplace")
