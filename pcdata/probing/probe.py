"""``pcdata probe``: measure on a corpus, before any training, whether a compressor is a good proxy.

The corpus is scanned and split as ``pcdata build`` does it, compressors are fitted on train, and some documents of val
are encoded, edited, encoded again and decoded. Nothing is left on disk. A good proxy is short, changes little where a
document changes little, realigns after an edit, and has symbols that each have one meaning.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from pcdata.building.fit import fit_views, open_views
from pcdata.building.plan import EmptyValError
from pcdata.building.planning import trial
from pcdata.building.progress import Reporter
from pcdata.building.shaping import handed_in_artifacts
from pcdata.codecs.base import Codec, naming
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.manifest import FittedView
from pcdata.errors import InputError
from pcdata.extras import require
from pcdata.inspection.units import ambiguous, colliding, entropy, split_units
from pcdata.probing.edits import EDITS, INSERT, edited, key_for, line_to_insert
from pcdata.probing.options import ProbeOptions
from pcdata.probing.results import Distances, Figures, Locality, Probe, Units, Vocabulary
from pcdata.probing.sample import draw_sample
from pcdata.probing.speed import measure
from pcdata.probing.stability import Encoded, distance, lag

_PERCENTILES: Final = (1, 50, 99, 100)
_BATCH: Final = 16
"""Documents between two steps of the progress bar."""

Encode = Callable[[Sequence[bytes]], list[Unsigned]]
"""Documents → the symbols of each."""


def probe(options: ProbeOptions, report: Reporter) -> Probe:
    """Measure every compressor. Raises ``PcdataError``."""
    require("rapidfuzz", "pcdata probe")
    artifacts = handed_in_artifacts(options.dataset.views.requests)
    try:
        with trial(options.dataset, options.workers, report) as planned:
            sample = draw_sample(options, planned)
            fit_views(planned.options, planned.workspace, artifacts, report)
            views = open_views(planned.workspace)
    except EmptyValError as error:
        raise InputError(f"no documents to probe: {error.drawn}; raise it, or add documents") from None
    documents = _Documents(sample.raws, options.seed)
    with report.stage("raw bytes", documents.work_bytes) as advance:
        raw_distances = documents.distances(_raw_symbols, advance)
    found = {}
    for view, codec in views:
        with report.stage(view.name, documents.work_bytes) as advance, naming(view):
            found[view.name] = _figures(view, codec, view.name in artifacts, documents, advance)
    return Probe(
        documents=len(sample.raws),
        of_documents=sample.of_documents,
        raw_bytes=sum(map(len, sample.raws)),
        document_bytes=options.document_bytes,
        seed=options.seed,
        edited={name: sum(1 for _ in documents.pairs(name)) for name in EDITS},
        raw_distances=raw_distances,
        compressors=dict(sorted(found.items(), key=lambda item: (item[1].mean_distance or 0.0, item[0]))),
    )


class _Documents:
    """The sample before and after every edit."""

    def __init__(self, raws: Sequence[bytes], seed: int) -> None:
        self.raws = raws
        self.seed = seed
        self._edited = {name: [edited(raw, name, seed) for raw in raws] for name in EDITS}
        self.work_bytes = sum(len(before) + len(after) for name in EDITS for before, after in self.pairs(name))

    def pairs(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Before and after an edit: the documents that it changed."""
        pairs = zip(self.raws, self._edited[name], strict=True)
        return ((before, after) for before, after in pairs if before != after)

    def batches(self, name: str) -> Iterator[list[tuple[bytes, bytes]]]:
        pairs = list(self.pairs(name))
        return (pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH))

    def distances(self, encode: Encode, advance: Callable[[int], None]) -> Distances:
        """Mean distance by edit. Calls ``advance`` with the bytes encoded."""
        means: dict[str, float | None] = {}
        for name in EDITS:
            found: list[float] = []
            for batch in self.batches(name):
                befores, afters = (encode(documents) for documents in zip(*batch, strict=True))
                found += map(distance, befores, afters)
                advance(sum(map(len, sum(batch, ()))))
            means[name] = statistics.fmean(found) if found else None
        return means


def _raw_symbols(documents: Sequence[bytes]) -> list[Unsigned]:
    return [np.frombuffer(raw, np.uint8) for raw in documents]


def _figures(
    view: FittedView, codec: Codec, handed_in: bool, documents: _Documents, advance: Callable[[int], None]
) -> Figures:
    def encode(some: Sequence[bytes]) -> list[Unsigned]:
        columns = codec.encode(some)
        return [columns.symbols_of(row) for row in range(len(some))]

    raws = documents.raws
    lengths = [len(raw) for raw in raws]
    columns = codec.encode(raws)
    return Figures(
        codec=view.codec,
        parameters=view.parameters,
        fitted_on=view.fitted_on,
        handed_in=handed_in,
        symbols=len(columns.symbols),
        bytes_per_symbol=sum(lengths) / len(columns.symbols),
        distances=documents.distances(encode, advance),
        locality=_locality(codec, documents),
        units=_units(raws, columns),
        vocabulary=_vocabulary(codec, columns),
        encode=measure(lambda count: codec.encode(raws[:count]), lengths),
        decode=measure(lambda count: [codec.decode(*columns.of_document(row)) for row in range(count)], lengths),
    )


def _locality(codec: Codec, documents: _Documents) -> Locality:
    lags = []
    for batch in documents.batches(INSERT):
        befores, afters = (codec.encode(some) for some in zip(*batch, strict=True))
        for row, (raw, _) in enumerate(batch):
            insertion = line_to_insert(raw, key_for(documents.seed, INSERT, raw))
            assert insertion is not None  # the edit changed the document
            lags.append(lag(Encoded.of(befores, row), Encoded.of(afters, row), insertion.at + len(insertion.line)))
    return Locality.of(lags)


def _units(raws: Sequence[bytes], columns: ViewColumns) -> Units:
    counts = Counter(
        unit
        for row, raw in enumerate(raws)
        for unit in split_units(columns.symbols_of(row), columns.alignment_of(row), raw)
    )
    n_units = counts.total()
    percentiles = np.percentile(columns.unit_bytes, _PERCENTILES, method="inverted_cdf").tolist()
    return Units(
        units=n_units,
        bytes_mean=sum(map(len, raws)) / n_units,
        bytes_percentiles={str(percent): int(value) for percent, value in zip(_PERCENTILES, percentiles, strict=True)},
        colliding=colliding(counts) / n_units,
        ambiguous=ambiguous(counts) / n_units,
    )


def _vocabulary(codec: Codec, columns: ViewColumns) -> Vocabulary:
    counts = np.unique(columns.symbols, return_counts=True)[1]
    bits = entropy(counts)
    assert bits is not None  # a document of val has at least a byte, hence a symbol
    return Vocabulary(codec.types.n_symbols, len(counts), bits)
