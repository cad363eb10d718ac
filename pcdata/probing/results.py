"""The results of a probe, and the meaning of each figure. ``--json`` prints these fields under their names."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pcdata.dataset.manifest import Amount
from pcdata.probing.speed import Speed
from pcdata.probing.stability import Lag

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
        from pcdata.probing.render import render

        return render(self)


def mean_of(distances: Distances) -> float | None:
    """Mean over the edits that changed anything."""
    known = [value for value in distances.values() if value is not None]
    return statistics.fmean(known) if known else None


def lengths_text(shortest: int, longest: int) -> str:
    return f"at least {shortest:,} bytes" if longest == sys.maxsize else f"{shortest:,} to {longest:,} bytes"
