"""The results of a probe, the meaning of each figure, and tables of them of at most 100 columns. ``--json`` prints the
fields under their names."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pcdata.dataset.manifest import Amount
from pcdata.probing.edits import EDITS
from pcdata.probing.speed import Speed
from pcdata.probing.stability import Lag
from pcdata.text import UNDEFINED, ratio, size, table

Distances: TypeAlias = Mapping[str, float | None]
"""By edit: the mean over the documents that it changed; None if it changed none."""


@dataclass(frozen=True)
class Locality:
    """What an inserted line does to the symbols after it (``stability.lag``)."""

    median: float | None
    """Symbols until the sequences agree again; documents that never do count all remaining symbols."""
    mean: float | None
    never: float | None
    """Share of the documents whose symbols never agree again, to the end."""
    symbols: tuple[int, ...]
    """Of each document, rising."""
    agreeing: tuple[bool, ...]
    """Of the same documents."""

    @classmethod
    def of(cls, lags: Sequence[Lag]) -> Locality:
        """Fields are None if there are no documents."""
        ordered = sorted(lags, key=lambda lag: lag.symbols)
        symbols = tuple(lag.symbols for lag in ordered)
        agreeing = tuple(lag.agrees for lag in ordered)
        if not ordered:
            return cls(None, None, None, symbols, agreeing)
        never = agreeing.count(False) / len(agreeing)
        return cls(statistics.median(symbols), statistics.fmean(symbols), never, symbols, agreeing)


@dataclass(frozen=True)
class Units:
    """How raw bytes are cut, and whether a unit's symbols mean one thing."""

    units: int
    bytes_mean: float
    bytes_percentiles: dict[str, int]
    """Unit size percentiles, in raw bytes."""
    colliding: float
    """Share of units whose symbols encode other bytes elsewhere: the symbols alone do not determine the bytes."""
    ambiguous: float
    """Share of units whose bytes are encoded by other symbols elsewhere: the bytes do not determine the symbols."""


@dataclass(frozen=True)
class Vocabulary:
    """How the symbols are used."""

    symbols: int
    """How many the compressor has."""
    used: int
    """How many occur in the sample."""
    bits: float
    """Order-0 entropy of a symbol."""


@dataclass(frozen=True)
class Figures:
    """One compressor on the sample."""

    codec: str
    parameters: dict[str, Any]
    fitted_on: Amount | None
    """None if it is not fitted, or for a given artifact without a record."""
    handed_in: bool
    """Whether the artifact was given, and so may have been fitted on the probed documents."""
    symbols: int
    bytes_per_symbol: float
    distances: Distances
    locality: Locality
    units: Units
    vocabulary: Vocabulary
    encode: Speed
    decode: Speed

    @property
    def mean_distance(self) -> float | None:
        return mean_of(self.distances)


@dataclass(frozen=True)
class Probe:
    """All results. Everything except the speeds is a function of inputs, options and library versions."""

    documents: int
    of_documents: int
    """In val, of the requested lengths."""
    raw_bytes: int
    document_bytes: tuple[int, int]
    seed: int
    edited: Mapping[str, int]
    """By edit: the documents that it changed."""
    raw_distances: Distances
    """Of the raw bytes themselves: the measure of each edit's size."""
    compressors: Mapping[str, Figures]
    """The most stable first: by the mean of the distances."""

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints; keys are only ever added."""
        return asdict(self)

    def __str__(self) -> str:
        return render(self)


def mean_of(distances: Distances) -> float | None:
    """Mean over the edits that changed anything."""
    known = [value for value in distances.values() if value is not None]
    return statistics.fmean(known) if known else None


def lengths_text(shortest: int, longest: int) -> str:
    return f"at least {shortest:,} bytes" if longest == sys.maxsize else f"{shortest:,} to {longest:,} bytes"


def render(found: Probe) -> str:
    of_documents = f"{found.of_documents:,} documents of val that have {lengths_text(*found.document_bytes)}"
    return "\n".join(
        [
            f"probed {found.documents:,} of {of_documents}; {size(found.raw_bytes)}, seed {found.seed}",
            *_fitted(found),
            "",
            *_stability(found),
            "",
            *_locality(found),
            "",
            *_units(found),
            "",
            *_symbols(found),
        ]
    )


def _fitted(found: Probe) -> list[str]:
    lines = []
    for name, figures in found.compressors.items():
        if figures.handed_in:
            lines.append(f"{name}: a given artifact, which may have been fitted on the probed documents")
        elif figures.fitted_on is not None:
            amount = figures.fitted_on
            lines.append(f"{name}: fitted on {amount.documents:,} documents of train ({size(amount.raw_bytes)})")
    return lines


def _stability(found: Probe) -> list[str]:
    rows = [["", "bytes/symbol", *EDITS, "mean"], ["raw bytes", ratio(1.0), *_distances(found.raw_distances)]]
    for name, figures in found.compressors.items():
        rows.append([name, ratio(figures.bytes_per_symbol), *_distances(figures.distances)])
    lines = ["how much an edit changes the symbols (0: not at all, 1: nothing in common), most stable first", ""]
    lines += table(rows)
    unchanged = {name: found.documents - count for name, count in found.edited.items() if count < found.documents}
    if unchanged:
        left_out = ", ".join(f"{name} {count:,}" for name, count in unchanged.items())
        lines.append(f"  (left out, since the edit changed nothing in them: {left_out} documents)")
    return lines


def _distances(distances: Distances) -> list[str]:
    return [ratio(value, 3) for value in (*distances.values(), mean_of(distances))]


def _locality(found: Probe) -> list[str]:
    rows = [["", "median", "mean", "never agree again"]]
    for name, figures in found.compressors.items():
        places = figures.locality
        rows.append([name, ratio(places.median, 1), ratio(places.mean, 1), _percent(places.never)])
    return ["symbols after an inserted line until the streams realign", "", *table(rows)]


def _units(found: Probe) -> list[str]:
    rows = [["", "units", "mean", "1 %", "median", "99 %", "longest", "colliding", "ambiguous"]]
    for name, figures in found.compressors.items():
        units = figures.units
        lengths = [f"{units.bytes_percentiles[percent]:,}" for percent in ("1", "50", "99", "100")]
        shares = [_percent(units.colliding), _percent(units.ambiguous)]
        rows.append([name, f"{units.units:,}", ratio(units.bytes_mean, 1), *lengths, *shares])
    return [
        "raw bytes of a unit; units whose symbols encode other bytes elsewhere (colliding), and whose",
        "bytes are encoded by other symbols elsewhere (ambiguous)",
        "",
        *table(rows),
    ]


def _symbols(found: Probe) -> list[str]:
    rows = [["", "different symbols", "of", "bits/symbol", "encode MB/s", "decode MB/s"]]
    for name, figures in found.compressors.items():
        used = figures.vocabulary
        ids = [f"{used.used:,}", f"{used.symbols:,}", ratio(used.bits)]
        rows.append([name, *ids, *_speeds(figures)])
    return ["symbols used, their entropy one by one, and speed on one core in raw bytes", "", *table(rows)]


def _speeds(figures: Figures) -> list[str]:
    return [ratio(speed.mb_per_s, 0 if speed.mb_per_s >= 10 else 2) for speed in (figures.encode, figures.decode)]


def _percent(share: float | None) -> str:
    return UNDEFINED if share is None else f"{ratio(100 * share, 1)} %"
