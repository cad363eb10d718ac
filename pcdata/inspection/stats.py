"""Statistics of a dataset from its manifest alone, so they are immediate for any size.

Sums come before ratios, and a ratio of nothing is None in ``stats`` and ``–`` in ``render``.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any

from pcdata.dataset.manifest import Manifest, View
from pcdata.dataset.schema import FORMAT_VERSION
from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS
from pcdata.terminal import safe
from pcdata.text import UNDEFINED, ratio, size, table

PERCENTILES = (10, 50, 90, 99)
_BAR = 40
_LANGUAGES_SHOWN = 12


class Stats(dict[str, Any]):
    """Statistics of a dataset by name; prints as tables."""

    def __str__(self) -> str:
        return render(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(render(self))}</pre>"


def stats(manifest: Manifest) -> Stats:
    """Everything that ``pcdata stats --json`` prints; keys are only ever added."""
    documents = sum(shard.documents for shard in manifest.base.shards)
    raw_bytes = sum(shard.raw_bytes for shard in manifest.base.shards)
    figures = {
        "format_version": FORMAT_VERSION,
        "documents": documents,
        "raw_bytes": raw_bytes,
        "mean_document_bytes": _ratio(raw_bytes, documents),
        "splits": {
            name: {
                "documents": sum(shard.documents for shard in shards),
                "raw_bytes": sum(shard.raw_bytes for shard in shards),
                "shards": len(shards),
                "blocks": sum(len(shard.block_documents) for shard in shards),
            }
            for name, shards in manifest.base.splits.items()
        },
        "languages": {name: asdict(amount) for name, amount in manifest.base.languages.items()},
        "views": {view.name: _view_stats(view, raw_bytes) for view in manifest.views},
        "disk_bytes": _disk_bytes(manifest),
        "rejects": dict(manifest.rejects),
        "ids": {
            "first_byte": FIRST_BYTE,
            "first_view": RAW_IDS,
            "size": manifest.vocabulary.size,
            "padded_size": manifest.vocabulary.padded_size,
        },
    }
    return Stats(figures)


def _view_stats(view: View, raw_bytes: int) -> dict[str, Any]:
    symbols = sum(shard.symbols for shard in view.shards)
    units = sum(shard.units for shard in view.shards)
    symbol_bytes = view.types.symbol_dtype.itemsize
    return {
        "codec": view.codec,
        "parameters": dict(view.parameters),
        "ids": view.ids,
        "first_id": view.first_id,
        "end_id": view.view_ids.end_id,
        "n_symbols": view.n_symbols,
        "symbols": symbols,
        "raw_bytes_per_symbol": _ratio(raw_bytes, symbols),
        "bytes_in_a_symbol": symbol_bytes,
        "compression_ratio": _ratio(raw_bytes, symbols * symbol_bytes),
        "units": units,
        "units_independent": view.units_independent,
        "mean_unit_raw_bytes": _ratio(raw_bytes, units),
        "mean_unit_symbols": _ratio(symbols, units),
        "unit_raw_bytes_percentiles": {
            str(percent): unit_bytes_percentile(view.unit_bytes_histogram, percent) for percent in PERCENTILES
        },
        "unit_raw_bytes_histogram": list(view.unit_bytes_histogram),
        "splits": {
            name: {"symbols": sum(shard.symbols for shard in shards), "units": sum(shard.units for shard in shards)}
            for name, shards in view.splits.items()
        },
        "fitted_on": None if view.fitted_on is None else asdict(view.fitted_on),
    }


def _disk_bytes(manifest: Manifest) -> dict[str, Any]:
    base = sum(shard.file.bytes for shard in manifest.base.shards)
    views = {view.name: sum(entry.bytes for entry in view.files) for view in manifest.views}
    total = sum(entry.bytes for entry in manifest.files()) + len(manifest.to_bytes())
    return {"base": base, "views": views, "total": total}


def unit_bytes_percentile(histogram: Sequence[int], percent: int) -> list[int] | None:
    """The bucket (least and most raw bytes) of a percentile of the units; None if there are no units."""
    total = sum(histogram)
    for bucket, so_far in enumerate(accumulate(histogram)):
        if total and so_far * 100 >= total * percent and so_far:
            return list(bucket_bounds(bucket))
    return None


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Least and most raw bytes, both inclusive, of units counted in a bucket of the histogram."""
    return (0, 0) if bucket == 0 else (1 << (bucket - 1), (1 << bucket) - 1)


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def render(values: dict[str, Any]) -> str:
    """``stats`` as tables, at most 100 columns wide."""
    lines = [_headline(values), "", *_splits(values), "", *_languages(values)]
    if values["views"]:
        lines += ["", *_views(values), "", *_ids(values)]
        for name, view in values["views"].items():
            lines += ["", *_histogram(name, view)]
    return "\n".join([*lines, "", *_rejects(values)])


def _headline(values: dict[str, Any]) -> str:
    mean = values["mean_document_bytes"]
    mean_size = UNDEFINED if mean is None else size(round(mean))
    disk = size(values["disk_bytes"]["total"])
    return (
        f"{values['documents']:,} documents, {size(values['raw_bytes'])} raw (mean {mean_size}), {disk} on disk, "
        f"format version {values['format_version']}"
    )


def _splits(values: dict[str, Any]) -> list[str]:
    rows = [["split", "documents", "raw bytes", "shards", "blocks"]]
    rows += [
        [name, f"{split['documents']:,}", f"{split['raw_bytes']:,}", f"{split['shards']:,}", f"{split['blocks']:,}"]
        for name, split in values["splits"].items()
    ]
    return [*table(rows), "  (a long document that was cut counts once for each part)"]


def _languages(values: dict[str, Any]) -> list[str]:
    ordered = sorted(values["languages"].items(), key=lambda item: -item[1]["raw_bytes"])
    rows = [["language", "documents", "raw bytes", "share"]]
    for name, amount in ordered[:_LANGUAGES_SHOWN]:
        share = _ratio(100 * amount["raw_bytes"], values["raw_bytes"])
        rows.append([safe(name), f"{amount['documents']:,}", f"{amount['raw_bytes']:,}", f"{ratio(share, 1)} %"])
    more = len(ordered) - _LANGUAGES_SHOWN
    return table(rows) + ([f"  and {more} more (--json lists them)"] if more > 0 else [])


def _views(values: dict[str, Any]) -> list[str]:
    rows = [["view", "symbols", "raw bytes/symbol", "ratio", "units", "raw bytes/unit", "on disk", "fitted on"]]
    for name, view in values["views"].items():
        rows.append(
            [
                name,
                f"{view['symbols']:,}",
                ratio(view["raw_bytes_per_symbol"]),
                ratio(view["compression_ratio"]),
                f"{view['units']:,}",
                ratio(view["mean_unit_raw_bytes"], 1),
                size(values["disk_bytes"]["views"][name]),
                UNDEFINED if view["fitted_on"] is None else size(view["fitted_on"]["raw_bytes"]),
            ]
        )
    return [*table(rows), "  (ratio: raw bytes to the bytes of the symbols as stored)"]


def _ids(values: dict[str, Any]) -> list[str]:
    ids = values["ids"]
    rows = [["ids", "first", "end"], ["special", "0", str(ids["first_byte"])]]
    rows.append(["bytes", str(ids["first_byte"]), str(ids["first_view"])])
    for name, view in values["views"].items():
        shared = " (those of the bytes)" if view["ids"] == "raw" else ""
        rows.append([name + shared, f"{view['first_id']:,}", f"{view['end_id']:,}"])
    return [*table(rows), f"  {ids['size']:,} ids; a model's vocabulary is {ids['padded_size']:,}"]


def _histogram(name: str, view: dict[str, Any]) -> list[str]:
    counts = view["unit_raw_bytes_histogram"]
    used = [bucket for bucket, count in enumerate(counts) if count]
    if not used:
        return [f"  {name}: no units"]
    rows = [[f"{name}: raw bytes in a unit", "units", "share"]]
    bars = [""]
    for bucket in range(used[0], used[-1] + 1):
        low, high = bucket_bounds(bucket)
        label = f"{low:,}" if low == high else f"{low:,} … {high:,}"
        rows.append([label, f"{counts[bucket]:,}", f"{100 * counts[bucket] / view['units']:.1f} %"])
        bars.append(_bar(counts[bucket], max(counts)))
    lines = [f"{line}  {bar}".rstrip() for line, bar in zip(table(rows), bars, strict=True)]
    percentiles = view["unit_raw_bytes_percentiles"].items()
    most = ", ".join(f"{percent} %: {bounds[1]:,}" for percent, bounds in percentiles)
    return [*lines, f"  unit size percentiles (bytes): {most}"]


def _bar(count: int, largest: int) -> str:
    """A bar of at most ``_BAR`` columns, in eighths; a count above 0 is always seen."""
    eighths = max(count * _BAR * 8 // largest, 1 if count else 0)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def _rejects(values: dict[str, Any]) -> list[str]:
    if not values["rejects"]:
        return ["  no input was rejected"]
    rows = [["rejected, by reason", "inputs"]]
    rows += [[safe(reason), f"{count:,}"] for reason, count in sorted(values["rejects"].items())]
    return [*table(rows), "  (rejects.jsonl lists them one by one)"]
