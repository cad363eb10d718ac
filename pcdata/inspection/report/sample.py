"""The documents that can be explored in a report, as the page's script reads them.

Arrays are base64 of little-endian numbers of the narrowest width, which a browser maps as a typed array: a page of
forty documents in four views stays below two megabytes.
"""

from __future__ import annotations

import base64
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Dataset, Document
from pcdata.inspection.find import overall_number
from pcdata.terminal import safe

_TRIES: Final = 20
"""Documents read for each that is shown, so that rare languages are found, too."""

_NOT_CODE: Final = frozenset(
    {
        *("csv", "diff", "gettext catalog", "html", "ini", "json", "json lines", "json with comments"),
        *("jupyter notebook", "markdown", "restructuredtext", "roff", "svg", "text", "toml", "unknown", "xml", "yaml"),
    }
)
"""Data and prose, in lower case. A source map or a log may be the largest part of a project, and says little of it."""


def sample_documents(dataset: Dataset, wanted: int, seed: int) -> list[Document]:
    """Some non-empty documents, drawn by ``seed``, taking languages in turn so that each is included."""
    places = [(name, number) for name in dataset.splits for number in _drawn(dataset, name, wanted * _TRIES, seed)]
    random.Random(seed).shuffle(places)
    by_language: dict[str, list[Document]] = defaultdict(list)
    for name, number in places:
        document = dataset.split(name).document(number)
        if len(document.raw):
            by_language[document.lang].append(document)
    chosen: list[Document] = []
    for turn in range(max(map(len, by_language.values()), default=0)):
        chosen += [documents[turn] for documents in by_language.values() if turn < len(documents)]
    return sorted(chosen[:wanted], key=overall_number)


def typical(documents: Sequence[Document], raw_bytes: Mapping[str, int]) -> int:
    """Which of the documents the page opens on: the one of median length in the language with the most bytes, of
    programming languages if there are any.

    ``raw_bytes`` is by language, in the whole dataset. Of equal ones, the first; 0 if there are none.
    """
    largest = max(
        (document.lang for document in documents),
        key=lambda name: (name.lower() not in _NOT_CODE, raw_bytes.get(name, 0)),
        default="",
    )
    places = [place for place, document in enumerate(documents) if document.lang == largest]
    ranked = sorted(places, key=lambda place: len(documents[place].raw))
    return ranked[len(ranked) // 2] if ranked else 0


def _drawn(dataset: Dataset, split: str, most: int, seed: int) -> list[int]:
    """Numbers of documents: all, or the split's share of ``most``."""
    total = sum(dataset.split(name).n_documents for name in dataset.splits)
    documents = dataset.split(split).n_documents
    share = documents if total <= most else -(-documents * most // total)
    return random.Random(f"{seed} {split}").sample(range(documents), share)


def document_data(document: Document, views: list[str], most_bytes: int) -> dict[str, Any]:
    """One document for the page: its first ``most_bytes``, and the units of each view that begin in them."""
    raw = document.raw
    shown = min(len(raw), most_bytes)
    return {
        "number": overall_number(document),
        "split": document.split.name,
        "path": safe(document.path),
        "lang": safe(document.lang),
        "source": safe(document.source),
        "id": document.doc_id,
        "bytes": len(raw),
        "raw": packed(raw[:shown]),
        "views": {name: _view_data(document, name, shown) for name in views},
    }


def _view_data(document: Document, view: str, shown: int) -> dict[str, Any]:
    points, symbols = document.alignment(view), document.symbols(view)
    begun = int(np.searchsorted(points.raw_ends, shown, side="left")) + 1
    raw_ends, symbol_ends = points.raw_ends[:begun], points.symbol_ends[:begun]
    return {
        "unit_bytes": packed(np.diff(raw_ends, prepend=0)),
        "unit_symbols": packed(np.diff(symbol_ends, prepend=0)),
        "symbols": packed(symbols[: symbol_ends[-1]]),
        "all_symbols": len(symbols),
        "all_units": len(points.raw_ends),
    }


def packed(values: NDArray[np.integer[Any]]) -> list[Any]:
    """Numbers from 0 as ``[bytes of each, base64]``; at most 32 bits each."""
    largest = int(values.max(initial=0))
    width = 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4
    return [width, base64.b64encode(values.astype(f"<u{width}").tobytes()).decode("ascii")]
