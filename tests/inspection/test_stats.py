"""The numbers of stats, against a calculation from the documents themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcdata.dataset import Dataset, Manifest
from pcdata.dataset.manifest import Amount
from pcdata.inspection.stats import bucket_bounds, render, stats, unit_bytes_percentile
from pcdata.terminal import display_width
from tests.dataset.written import Row, sample_rows, write_dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("written")
    return folder, write_dataset(folder)


def test_documents_and_bytes(written: tuple[Path, Manifest]) -> None:
    folder, manifest = written
    rows = sample_rows()
    values = stats(manifest)
    assert values["documents"] == len(rows)
    assert values["raw_bytes"] == sum(len(row.raw) for row in rows)
    assert values["splits"]["val"] == {"documents": 1, "raw_bytes": len(rows[-1].raw), "shards": 1, "blocks": 1}
    assert values["splits"]["train"]["blocks"] == 8
    assert values["languages"]["python"]["documents"] == 20
    assert values["rejects"] == {"binary": 1}
    assert values["disk_bytes"]["total"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    sizes = {view: sum(p.stat().st_size for p in (folder / "views" / view).rglob("*.*")) for view in ("bpe", "gzip")}
    assert {view: values["disk_bytes"]["views"][view] for view in sizes} == sizes


@pytest.mark.parametrize("view", ["bpe", "zstd", "gzip"])
def test_symbols_and_units(written: tuple[Path, Manifest], view: str) -> None:
    folder, manifest = written
    dataset = Dataset(folder)
    documents = [split.document(n) for split in map(dataset.split, dataset.splits) for n in range(split.n_documents)]
    units = sorted(
        int(size) for one in documents for size in one.split.view(view, one.block).unit_bytes_of(one.row).tolist()
    )
    symbols = sum(len(one.symbols(view)) for one in documents)
    raw_bytes = sum(len(one.raw) for one in documents)
    values = stats(manifest)["views"][view]
    assert (values["symbols"], values["units"]) == (symbols, len(units))
    assert values["raw_bytes_per_symbol"] == raw_bytes / symbols
    assert values["compression_ratio"] == raw_bytes / (symbols * (2 if view == "bpe" else 1))
    assert values["mean_unit_raw_bytes"] == sum(units) / len(units)
    assert values["splits"]["train"]["symbols"] + values["splits"]["val"]["symbols"] == symbols
    for percent, (low, high) in values["unit_raw_bytes_percentiles"].items():
        exact = units[max(-(-len(units) * int(percent) // 100) - 1, 0)]
        assert low <= exact <= high


def test_percentiles_of_small_histograms() -> None:
    assert unit_bytes_percentile([], 50) is None
    assert unit_bytes_percentile([0, 0], 50) is None
    assert unit_bytes_percentile([0, 1, 0, 1], 50) == [1, 1]
    assert unit_bytes_percentile([0, 1, 0, 1], 51) == [4, 7]
    assert [bucket_bounds(bucket) for bucket in range(4)] == [(0, 0), (1, 1), (2, 3), (4, 7)]


def test_what_is_undefined_is_not_made_up(tmp_path: Path) -> None:
    values = stats(write_dataset(tmp_path, [Row(b"a", b""), Row(b"b", b"")], views=["gzip"]))
    assert values["views"]["gzip"]["raw_bytes_per_symbol"] is None
    assert values["views"]["gzip"]["mean_unit_raw_bytes"] is None
    assert values["mean_document_bytes"] == 0
    text = render(values)
    assert "gzip: no units" in text
    assert "–" in text
    assert "nan" not in text


def _paths(value: Any, at: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {at}
    return {path for key, inner in value.items() for path in _paths(inner, f"{at}.{key}")}


def test_keys_for_programs_are_stable(written: tuple[Path, Manifest]) -> None:
    values = json.loads(json.dumps(stats(written[1])))
    for path in [
        ".documents",
        ".raw_bytes",
        ".splits.train.documents",
        ".languages.python.raw_bytes",
        ".views.bpe.symbols",
        ".views.bpe.raw_bytes_per_symbol",
        ".views.bpe.compression_ratio",
        ".views.bpe.mean_unit_raw_bytes",
        ".views.bpe.unit_raw_bytes_percentiles.50",
        ".views.bpe.unit_raw_bytes_histogram",
        ".disk_bytes.views.bpe",
        ".disk_bytes.total",
        ".rejects.binary",
        ".ids.padded_size",
    ]:
        assert path in _paths(values)


def test_the_table_fits_and_shows_every_name(written: tuple[Path, Manifest]) -> None:
    text = render(stats(written[1]))
    assert max(map(display_width, text.splitlines())) <= 100
    for word in (
        "train",
        "val",
        "python",
        "bpe",
        "zstd",
        "gzip",
        "binary",
        "30 documents",
        "counts once for each part",
        "896",
    ):
        assert word in text


def test_the_table_says_what_a_codec_was_fitted_on(written: tuple[Path, Manifest]) -> None:
    bpe = replace(written[1].view("bpe"), fitted_on=Amount(12, 3_456_789))
    views = (bpe, replace(written[1].view("gzip"), fitted_on=None))
    lines = render(stats(replace(written[1], views=views))).splitlines()
    head = next(line for line in lines if line.endswith("fitted on"))
    rows = [line for line in lines[lines.index(head) + 1 :] if line.startswith(("  bpe ", "  gzip "))][:2]
    assert [row.split()[-1] for row in rows] == ["MB", "–"]
    assert rows[0].endswith("  3.5 MB")


def test_the_table_is_safe_to_print(written: tuple[Path, Manifest]) -> None:
    base = written[1].base
    hostile = replace(base, languages={"\x1b[31mred\n": base.languages["python"]})
    text = render(stats(replace(written[1], base=hostile, rejects={"bad\x07": 3})))
    assert "␛[31mred↵" in text
    assert "bad␇" in text
    assert text.replace("\n", "").isprintable()
