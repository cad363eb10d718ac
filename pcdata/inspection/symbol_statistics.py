"""Statistics of the symbols of each view, measured on some documents of a dataset.

Whether a symbol means one thing decides how much a model can learn from it alone, so it is counted: two units
*collide* if they have the same symbols and encode different bytes. Units of BPE never do; a unit of gzip has a
meaning only after everything before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcdata.codecs.base import Codec, codec_class, naming, open_codec
from pcdata.dataset import Dataset, Document
from pcdata.dataset.manifest import View
from pcdata.errors import CodecError
from pcdata.inspection.units import colliding, entropy, split_units
from pcdata.processes.isolated import Died, Isolated, Limits, Send
from pcdata.text import ratio, table

MEASURED_BYTES: Final = 1_000_000
"""About how many raw bytes are read: a second or two per view."""

_LIMITS: Final = Limits(memory_bytes=4_000_000_000, cpu_seconds=1200)
"""For a codec that encodes all documents, even at a kB per second."""


def figures(dataset: Dataset, most_bytes: int = MEASURED_BYTES) -> dict[str, Any]:
    """Measure every view on documents spread evenly over val (over train if there is no val).

    The codecs, which may be untrusted, run in a separate process. Raises ``DatasetError`` or ``CodecError`` if an
    artifact or a library differs from those that made the views, or if the process dies.
    """
    documents = list(_spread(dataset, most_bytes))
    raws = [document.raw.tobytes() for document in documents]
    return {
        "split": documents[0].split.name if documents else None,
        "documents": len(raws),
        "raw_bytes": sum(map(len, raws)),
        "views": {
            view.name: _symbol_figures(documents, raws, view.name) | {"codec": _codec_figures(view, dataset, raws)}
            for view in dataset.manifest.views
        },
    }


def _codec_figures(view: View, dataset: Dataset, raws: Sequence[bytes]) -> dict[str, float]:
    if codec_class(view.codec).figures is Codec.figures:
        return {}  # it has no figures, and a process takes half a second to start
    with closing(Isolated(_Codec, view, dataset.folder, limits=_LIMITS)) as process:
        try:
            (ratios,) = process.ask(raws)
        except Died as death:
            raise CodecError(
                f"view {view.name}: the process that measured its codec {death}; {view.codec_file} of "
                f"{dataset.folder} may be at fault, run pcdata verify"
            ) from None
    return {name: over / under for name, (over, under) in ratios.items() if under}


class _Codec:
    def __init__(self, view: View, folder: Path) -> None:
        self._view, self._codec = view, open_codec(view, folder)

    def __call__(self, raws: Sequence[bytes], send: Send) -> None:
        with naming(self._view):
            send({name: tuple(ratio) for name, ratio in self._codec.figures(raws).items()})


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


def render(values: dict[str, Any]) -> str:
    """Tables to be printed below those of ``stats``."""
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
