"""What the symbols of each view are like, measured on some documents of a dataset.

Whether a symbol means one thing decides how much a model can learn from it alone, so it is counted: two units
*collide* if they have the same symbols and stand for different bytes. A unit of BPE never does; one of gzip means
something only behind all that came before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from pcdata.codecs.base import Ratio, naming, open_codec
from pcdata.dataset import Dataset, Document
from pcdata.dataset.manifest import View
from pcdata.inspection.text import ratio, table
from pcdata.inspection.units import colliding, entropy, split_units

MEASURED_BYTES: Final = 1_000_000
"""Raw bytes that are looked at, about: a second or two for each view."""


def figures(dataset: Dataset, most_bytes: int = MEASURED_BYTES) -> dict[str, Any]:
    """Measure every view on documents spread evenly over val (over train if there is no val).

    Raises ``DatasetError`` or ``CodecError`` for an artifact or a library that is not what the views were made with.
    """
    documents = list(_spread(dataset, most_bytes))
    raws = [document.raw.tobytes() for document in documents]
    manifest = dataset.manifest
    return {
        "split": documents[0].split.name if documents else None,
        "documents": len(raws),
        "raw_bytes": sum(map(len, raws)),
        "views": {
            view.name: _symbol_figures(documents, raws, view.name) | {"codec": _codec_figures(dataset, view, raws)}
            for view in manifest.views
        },
    }


def _codec_figures(dataset: Dataset, view: View, raws: Sequence[bytes]) -> dict[str, Any]:
    codec = open_codec(view, dataset.folder)
    with naming(view):
        return _divided(codec.figures(raws))


def _spread(dataset: Dataset, most_bytes: int) -> Iterator[Document]:
    for name in reversed(dataset.splits):
        split = dataset.split(name)
        step = max(1, split.raw_bytes // most_bytes)
        left = most_bytes
        for number in range(0, split.n_documents, step):
            document = split.document(number)
            yield document
            left -= len(document.raw)
            if left <= 0:
                break
        return


def _symbol_figures(documents: Sequence[Document], raws: Sequence[bytes], view: str) -> dict[str, Any]:
    """Counts over the documents' symbols and units."""
    symbols = [document.symbols(view) for document in documents]
    used = np.unique(np.concatenate(symbols), return_counts=True)[1] if symbols else np.zeros(0, np.int64)
    units = Counter(
        unit
        for document, raw in zip(documents, raws, strict=True)
        for unit in split_units(document.symbols(view), document.alignment(view), raw)
    )
    return {
        "symbols": int(used.sum()),
        "different_symbols": len(used),
        "bits_per_symbol": entropy(used),
        "units": units.total(),
        "different_units": len({unit_symbols for unit_symbols, _ in units}),
        "colliding_units": colliding(units),
    }


def _divided(ratios: Any) -> dict[str, float]:
    """What is over nothing is left out."""
    return {name: Ratio(*each).over / each.under for name, each in ratios.items() if each.under}


def render(values: dict[str, Any]) -> str:
    """For people, below the tables of ``stats``."""
    rows = [["view", "different symbols", "bits/symbol", "different units", "colliding units"]]
    for name, view in values["views"].items():
        share = 100 * view["colliding_units"] / view["units"] if view["units"] else None
        rows.append(
            [
                name,
                f"{view['different_symbols']:,}",
                ratio(view["bits_per_symbol"]),
                f"{view['different_units']:,}",
                f"{ratio(share, 1)} %",
            ]
        )
    measured = f"measured on {values['documents']:,} documents of {values['split']}, {values['raw_bytes']:,} raw bytes"
    lines = [measured, "", *table(rows), "  (a unit collides if its symbols stand for other bytes elsewhere)"]
    for name, view in values["views"].items():
        if view["codec"]:
            lines += ["", *table([[name, ""], *([what, ratio(value, 3)] for what, value in view["codec"].items())])]
    return "\n".join(lines)
