"""``pcdata stats --plot``: how long documents and units are, and how well each language is compressed.

Lengths of documents and symbols are read from the files' offsets, so a block of 8 MB costs a few kB; in a large dataset
only some blocks are read, spread evenly, and the figure says so. Lengths of units come from the manifest, for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Dataset, Split
from pcdata.dataset.schema import LANG
from pcdata.inspection.stats import bucket_bounds
from pcdata.plotting import RAW_COLOUR, as_label, colours_for, legend_below, save_figure

BLOCKS: Final = 200
"""The most blocks read in each split."""

_INCHES: Final = (13.0, 4.4)
_LANGUAGES: Final = 10
_GROUP: Final = 0.8


@dataclass(frozen=True)
class Distributions:
    document_bytes: NDArray[np.int64]
    raw_bytes: Mapping[str, int]
    """By language, largest first."""
    symbols: Mapping[str, Mapping[str, int]]
    """By view, then by language."""
    of_documents: int
    """In the dataset; ``document_bytes`` may cover fewer."""


def read_distributions(dataset: Dataset, most_blocks: int = BLOCKS) -> Distributions:
    """Read the lengths of all documents, or of those in some blocks. Raises ``DatasetError``."""
    lengths = [np.zeros(0, np.int64)]
    raw_bytes: Counter[str] = Counter()
    symbols: dict[str, Counter[str]] = {view.name: Counter() for view in dataset.manifest.views}
    splits = [dataset.split(name) for name in dataset.splits]
    for split in splits:
        for block in np.unique(np.linspace(0, split.n_blocks - 1, min(most_blocks, split.n_blocks), dtype=int)):
            lengths.append(_add_block(split, int(block), raw_bytes, symbols))
    return Distributions(
        np.concatenate(lengths), dict(raw_bytes.most_common()), symbols, sum(split.n_documents for split in splits)
    )


def _add_block(
    split: Split, block: int, raw_bytes: Counter[str], symbols: Mapping[str, Counter[str]]
) -> NDArray[np.int64]:
    """Add up a block's bytes and symbols by language; returns its documents' lengths."""
    base = split.base(block)
    languages = base.metadata[LANG].dictionary_encode()
    names, numbers = languages.dictionary.to_pylist(), languages.indices.to_numpy()
    lengths = np.diff(base.raw_offsets)
    of_view = {name: np.diff(split.view(name, block).symbol_offsets) for name in symbols}
    for number, name in enumerate(names):
        here = numbers == number
        raw_bytes[name] += int(lengths[here].sum())
        for view, counts in of_view.items():
            symbols[view][name] += int(counts[here].sum())
    return lengths


def plot(dataset: Dataset, output: Path) -> None:
    """Write the figure. ``plotting.check_plot`` says beforehand whether that is possible."""
    found = read_distributions(dataset)
    save_figure(output, _INCHES, lambda figure: _draw(figure, dataset, found))


def _draw(figure: Any, dataset: Dataset, found: Distributions) -> None:
    documents, units, languages = figure.subplots(1, 3)
    views = dataset.manifest.views
    colours = colours_for([view.name for view in views])
    _draw_documents(documents, found.document_bytes)
    for view in views:
        _draw_units(units, view.name, view.unit_bytes_histogram, colours[view.name])
    units.set_xscale("log", base=2)
    units.set_ylim(bottom=0)
    units.set(title="units", xlabel="raw bytes of a unit", ylabel="share of the units")
    _draw_languages(languages, found, colours)
    legend_below(figure, units)
    seen = len(found.document_bytes)
    of_some = f"; documents and languages: of {seen:,} in blocks spread evenly" if seen < found.of_documents else ""
    figure.suptitle(f"{found.of_documents:,} documents{of_some}", fontsize=9)


def _draw_documents(axes: Any, lengths: NDArray[np.int64]) -> None:
    """The same lengths twice: weighted by documents, and by bytes."""
    some = lengths[lengths > 0]
    edges = 2.0 ** np.arange(0, max(1, int(some.max(initial=1))).bit_length() + 0.5, 0.5)
    for weights, label, style in ((np.ones(len(some)), "documents", "-"), (some, "their bytes", "--")):
        shares = np.histogram(some, edges, weights=weights)[0] / max(1, weights.sum())
        axes.stairs(shares, edges, label=label, color=RAW_COLOUR, linestyle=style, linewidth=1.5)
    axes.set_xscale("log", base=2)
    axes.set(title="documents", xlabel="raw bytes of a document", ylabel="share")
    axes.legend()


def _draw_units(axes: Any, name: str, histogram: tuple[int, ...], colour: str) -> None:
    """A step for each bucket of the manifest's histogram."""
    used = [bucket for bucket, count in enumerate(histogram) if count]
    if not used:
        return
    first, last = used[0], used[-1]
    edges = [bucket_bounds(bucket)[0] for bucket in range(first, last + 2)]
    shares = np.array(histogram[first : last + 1]) / sum(histogram)
    axes.stairs(shares, edges, label=name, color=colour, linewidth=1.5)


def _draw_languages(axes: Any, found: Distributions, colours: Mapping[str, str]) -> None:
    names = [name for name, raw_bytes in found.raw_bytes.items() if raw_bytes][:_LANGUAGES]
    places = np.arange(len(names))
    height = _GROUP / max(1, len(found.symbols))
    for number, (view, symbols) in enumerate(found.symbols.items()):
        widths = [found.raw_bytes[name] / symbols[name] for name in names]  # a byte has at least one symbol's unit
        axes.barh(places + (number + 0.5) * height - _GROUP / 2, widths, 0.92 * height, color=colours[view])
    axes.set_yticks(places, map(as_label, names))
    axes.invert_yaxis()
    axes.set(title="languages, by size", xlabel="raw bytes per symbol")
