"""Assembling the page: one HTML file that needs nothing else, the same for the same dataset and options.

Its parts are beside this file: ``page.html`` has the text, ``page.css`` the style, ``figures.js`` draws tables and
bars, ``explorer.js`` is the alignment explorer. Everything from the dataset is put in as JSON, with every ``<`` written
``\\u003c`` so that nothing in it can end the script, and is shown with ``textContent``, so that it is never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcdata.codecs.base import require_range
from pcdata.dataset import Dataset
from pcdata.dataset.files import appearing_file
from pcdata.dataset.json_files import parse_json
from pcdata.errors import InputError
from pcdata.inspection.distributions import read_distributions
from pcdata.inspection.report.sample import document_data, sample_documents, typical
from pcdata.inspection.stats import bucket_bounds, stats
from pcdata.output_files import PAGE, check_output
from pcdata.terminal import safe

_BUCKETS: Final = 54
"""Buckets of histograms by bit length: up to the largest number that is exact in a browser."""

_MOST_DOCUMENT_BYTES: Final = 100_000
"""A browser takes five seconds to draw a document of this size, and twenty for three times as much."""

_OF_A_PROBE: Final = {"documents": int, "raw_distances": dict, "compressors": dict}
_OF_A_COMPRESSOR: Final = {
    "bytes_per_symbol": float,
    "distances": dict,
    "locality": dict,
    "units": dict,
    "vocabulary": dict,
}
"""The fields of a probe that the page shows."""

_PARTS: Final = ("page.css", "figures.js", "explorer.js")


def check_report(output: Path, documents: int, document_bytes: int) -> bool:
    """Whether ``write_report`` will replace a page. Raises ``OptionError`` if it could not write there, or would have
    nothing to show."""
    require_range("--documents", documents, 1, 10_000)
    require_range("--document-bytes", document_bytes, 1, _MOST_DOCUMENT_BYTES)
    return check_output("-o", output, PAGE)


def read_probe(path: Path) -> dict[str, Any]:
    """The output of ``pcdata probe --json``. Raises ``InputError`` if the file holds something else."""
    try:
        probe = parse_json(path.read_bytes())
    except ValueError:
        probe = None
    if not _has(probe, _OF_A_PROBE) or not all(_has(each, _OF_A_COMPRESSOR) for each in probe["compressors"].values()):
        raise InputError(f"--probe {path} is no probe; give a file that pcdata probe --json wrote")
    return dict(probe)


def _has(value: Any, fields: Mapping[str, type]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in fields.items())


def write_report(
    dataset: Dataset, output: Path, documents: int, document_bytes: int, seed: int, probe: dict[str, Any] | None
) -> None:
    """Write the page whole, with ``documents`` documents to explore, ``document_bytes`` of each.

    Raises ``DatasetError`` for a dataset that cannot be read.
    """
    page = assembled(report_data(dataset, documents, document_bytes, seed) | {"probe": probe})
    with appearing_file(output) as file:
        file.write(page.encode())


def assembled(data: dict[str, Any]) -> str:
    """The parts of the page; the data is inserted last, so that nothing in it is taken for a placeholder."""
    folder = files("pcdata.inspection.report")
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    for part in _PARTS:
        page = page.replace(f"/*{part}*/", folder.joinpath(part).read_text(encoding="utf-8"))
    return page.replace("__DATA__", json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))


def report_data(dataset: Dataset, documents: int, document_bytes: int, seed: int) -> dict[str, Any]:
    """Everything that the page shows, except a probe."""
    found = read_distributions(dataset)
    views = [view.name for view in dataset.manifest.views]
    chosen = sample_documents(dataset, documents, seed)
    bit_lengths = [length.bit_length() for length in found.document_bytes.tolist()]
    return {
        "name": safe(dataset.folder.resolve().name),
        "stats": stats(dataset.manifest),
        "lengths": {
            "documents_seen": len(found.document_bytes),
            "histogram": np.bincount(bit_lengths, minlength=1).tolist(),
            "languages": [
                {
                    "name": safe(name),
                    "raw_bytes": raw_bytes,
                    "symbols": {view: found.symbols[view][name] for view in views},
                }
                for name, raw_bytes in found.raw_bytes.items()
            ],
        },
        "buckets": [bucket_bounds(bucket) for bucket in range(_BUCKETS)],
        "explorer": {
            "document_bytes": document_bytes,
            "opens": typical(chosen, found.raw_bytes),
            "documents": [document_data(document, views, document_bytes) for document in chosen],
        },
    }
