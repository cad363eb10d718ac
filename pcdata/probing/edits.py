"""Small edits of a document, as people make them; the symbols of a good proxy should change little.

An edit is a pure function of the document and a key. The key is derived from the seed, the edit and the document's
content (``key_for``), so the result is the same on any machine, in any order. No edit depends on a programming
language; any bytes can be edited, and each byte that is not UTF-8 counts as a character. An edit may find nothing to
change and return the document as it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import partial
from itertools import compress
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pcdata.dataset.identity import doc_id_of
from pcdata.dataset.splitmix import fractions, hashes, key_of

Edit: TypeAlias = Callable[[bytes, int], bytes]
"""The document and a key → the edited document."""

LONGEST_LINE: Final = 120
"""Characters of an inserted line: a longer one (a minified file is a single line) would not be a small edit."""

_NAME: Final = re.compile(r"\b[^\W\d]\w+")
_NEW_NAMES: Final = (
    *("value", "item", "result", "count", "index", "source", "target", "buffer", "handle", "entry", "record"),
    *("other", "state", "width", "factor", "offset"),
)
_KEYWORD_LIST: Final = (
    "and as assert async auto await bool break case catch char class const continue def default del delete do double "
    "elif else end enum except export extends extern false False final finally float fn for from func function global "
    "go goto if impl import in include inline int interface is lambda let long match mut namespace new nil None not "
    "null or package pass private protected pub public raise return short signed sizeof static std string struct "
    "super switch template then this throw true True try type typedef typename union unsigned use using var virtual "
    "void volatile while with yield"
)
_KEYWORDS: Final = frozenset(_KEYWORD_LIST.split())
"""Words that are rarely names in any language. Prose in comments counts as names; it is renamed in practice too."""


class Insertion(NamedTuple):
    at: int
    """Byte of the document that it is inserted before: the start of a line."""
    line: bytes
    """With its line end."""

    def into(self, raw: bytes) -> bytes:
        return raw[: self.at] + self.line + raw[self.at :]


def key_for(seed: int, name: str, raw: bytes) -> int:
    """The key of all random numbers for one edit of a document."""
    return key_of(seed, [*EDITS].index(name), *struct.unpack("<QQ", doc_id_of(raw)))


def edited(raw: bytes, name: str, seed: int) -> bytes:
    """The document after the edit of this name in ``EDITS``."""
    return EDITS[name](raw, key_for(seed, name, raw))


def delete_characters(share: float, raw: bytes, key: int) -> bytes:
    """Each character is deleted with probability ``share``, independently of the others."""
    text = raw.decode("utf-8", "surrogateescape")
    kept = fractions(key, np.arange(len(text), dtype=np.uint64)) >= share
    return "".join(compress(text, kept.tolist())).encode("utf-8", "surrogateescape")


def line_to_insert(raw: bytes, key: int) -> Insertion | None:
    """A non-blank line drawn from the document, and a place for it among the first half of the line starts.

    In the first half, because the question is whether the symbols of the text after it realign. None if every line is
    blank.
    """
    lines = raw.splitlines(keepends=True)
    candidates = [line for line in lines if line.strip()]
    if not candidates:
        return None
    place, choice = hashes(key, np.arange(2, dtype=np.uint64)).tolist()
    line = candidates[choice % len(candidates)].rstrip(b"\r\n")[:LONGEST_LINE]
    end = lines[0][len(lines[0].rstrip(b"\r\n")) :] or b"\n"
    before = place % (len(lines) // 2 + 1)
    return Insertion(sum(map(len, lines[: min(before, len(lines) - 1)])), line + end)


def insert_line(raw: bytes, key: int) -> bytes:
    """``line_to_insert``, inserted."""
    insertion = line_to_insert(raw, key)
    return raw if insertion is None else insertion.into(raw)


def rename(raw: bytes, key: int) -> bytes:
    """A word that occurs at least twice, drawn by occurrence (so that frequent words are drawn often), is replaced
    everywhere by a common name that the document does not contain yet."""
    text = raw.decode("utf-8", "surrogateescape")
    words = _NAME.findall(text)
    seen = set(words)
    once, again = set[str](), set[str]()
    for word in words:
        (again if word in once else once).add(word)
    names = [word for word in words if word in again and word not in _KEYWORDS]
    if not names:
        return raw
    choice, first = hashes(key, np.arange(2, dtype=np.uint64)).tolist()
    old = names[choice % len(names)]
    start = first % len(_NEW_NAMES)
    free = (name for name in _NEW_NAMES[start:] + _NEW_NAMES[:start] if name not in seen)
    new = next(free, None) or next(f"value{n}" for n in range(len(seen) + 1) if f"value{n}" not in seen)
    return _NAME.sub(lambda found: new if found[0] == old else found[0], text).encode("utf-8", "surrogateescape")


def reindent(raw: bytes, key: int) -> bytes:
    """Every non-blank line is indented by one level, as if all were moved into a block: by a tab if the first indented
    line begins with one, else by four spaces. Nothing is drawn."""
    first = re.search(rb"^[ \t]", raw, re.MULTILINE)
    level = b"\t" if first is not None and first[0] == b"\t" else b"    "
    return b"".join(level + line if line.strip() else line for line in raw.splitlines(keepends=True))


INSERT: Final = "insert a line"
EDITS: Final[dict[str, Edit]] = {
    "delete 10 %": partial(delete_characters, 0.10),
    "delete 1 %": partial(delete_characters, 0.01),
    INSERT: insert_line,
    "rename": rename,
    "re-indent": reindent,
}
"""The order decides what is drawn: append, never reorder."""

SAMPLE: Final = 1000
"""The key for drawing the documents to probe, which is not an edit."""
