"""Find one document of a dataset by its number, path or id."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pcdata.dataset import Dataset, Document, schema
from pcdata.dataset.columns import BaseColumns
from pcdata.errors import OptionError
from pcdata.terminal import safe

_LISTED = 5
_ID = re.compile(r"[0-9a-f]{4,32}")
_NUMBER = re.compile(r"(?:(train|val):)?([0-9]{1,18})")


def find_document(dataset: Dataset, selector: str) -> Document:
    """The one document that ``selector`` names.

    It is a number (``17``, counted through train and then val, or ``val:3`` in one split), the start of an id (at
    least 4 hex digits), a path, or the end of a path. Raises ``OptionError`` if it names none, or many.
    """
    number = _NUMBER.fullmatch(selector)
    if number:
        found = _by_number(dataset, number[1], int(number[2]))
        if found is not None:
            return found
    matches = list(_by_id(dataset, selector)) if _ID.fullmatch(selector) else []
    matches = matches or _whole(list(_by_path(dataset, selector, exact=True)))
    matches = matches or _whole(list(_by_path(dataset, selector, exact=False)))
    if not matches:
        total = sum(split.n_documents for split in map(dataset.split, dataset.splits))
        raise OptionError(
            f"no document has the number, path or id {safe(selector)}; give a number 0 … {total - 1}, "
            "val:0 for the first of val, the end of a path, or the first digits of an id"
        )
    if len(matches) > 1:
        listed = ", ".join(f"{overall_number(match)} {safe(match.path)}" for match in matches[:_LISTED])
        more = ", …" if len(matches) > _LISTED else ""
        raise OptionError(
            f"{len(matches):,} documents match {safe(selector)}: {listed}{more}; give one of these numbers"
        )
    return matches[0]


def overall_number(document: Document) -> int:
    """A document's number counted through all splits."""
    dataset = document.split.dataset
    before = dataset.splits[: dataset.splits.index(document.split.name)]
    return document.number + sum(dataset.split(name).n_documents for name in before)


def _by_number(dataset: Dataset, split: str | None, number: int) -> Document | None:
    for name in [split] if split else dataset.splits:
        documents = dataset.split(name)
        if number < documents.n_documents:
            return documents.document(number)
        number -= documents.n_documents
    return None


def _by_id(dataset: Dataset, prefix: str) -> Iterator[Document]:
    whole = np.frombuffer(bytes.fromhex(prefix[: len(prefix) // 2 * 2]), np.uint8)
    found = _where(dataset, lambda base: (base.doc_ids[:, : len(whole)] == whole).all(axis=1))
    return (document for document in found if document.doc_id.startswith(prefix))


def _by_path(dataset: Dataset, selector: str, *, exact: bool) -> Iterator[Document]:
    typed = os.fsencode(selector)
    shown = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), typed)

    def hits(base: BaseColumns) -> NDArray[np.bool_]:
        paths = base.metadata[schema.PATH]
        both = [pc.equal(paths, one) if exact else pc.ends_with(paths, pattern=b"/" + one) for one in (typed, shown)]
        found: NDArray[np.bool_] = pc.or_(*both).to_numpy(zero_copy_only=False)
        return found

    return _where(dataset, hits)


def _where(dataset: Dataset, hits: Callable[[BaseColumns], NDArray[np.bool_]]) -> Iterator[Document]:
    """The documents of all splits that ``hits`` selects in their block."""
    for split in map(dataset.split, dataset.splits):
        first = 0
        for base in map(split.base, range(split.n_blocks)):
            yield from (split.document(first + row) for row in np.flatnonzero(hits(base)).tolist())
            first += len(base)


def _whole(matches: list[Document]) -> list[Document]:
    """Keep only the first part of each document that was cut."""
    starts = [match for match in matches if match.part_start_bytes == 0]
    return starts if len(starts) == 1 and len({match.path for match in matches}) == 1 else matches
