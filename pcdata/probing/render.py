"""The results of a probe as tables, at most 100 columns wide."""

from __future__ import annotations

from pcdata.probing.edits import EDITS
from pcdata.probing.results import Distances, Figures, Probe, lengths_text, mean_of
from pcdata.text import UNDEFINED, ratio, size, table


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
