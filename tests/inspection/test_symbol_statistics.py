"""The figures of ``pcdata stats --measure``, against a slow calculation from the documents themselves."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcdata.cli import main
from pcdata.codecs.base import open_codec
from pcdata.codecs.byte_model import TOTAL
from pcdata.codecs.window_codec import WindowCodec
from pcdata.dataset import Dataset
from pcdata.errors import CodecError
from pcdata.inspection.symbol_statistics import figures
from pcdata.processes.isolated import Limits
from tests.dataset.plugged import plug_in
from tests.dataset.written import Row, sample_rows, save, write_dataset

VIEWS = ("bpe:vocab_size=300", "gzip", "ngram:segment=4,contexts=60")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("figures")
    rows = sample_rows()
    write_dataset(folder, [*rows, Row(b"last.py", b"".join(row.raw for row in rows), "python")], VIEWS)
    return Dataset(folder)


def slow_units(dataset: Dataset, view: str) -> list[tuple[tuple[int, ...], bytes]]:
    units = []
    document = dataset.split("val").document(0)
    raw, symbols, points = document.raw.tobytes(), document.symbols(view).tolist(), document.alignment(view)
    symbol = byte = 0
    for symbol_end, raw_end in zip(points.symbol_ends.tolist(), points.raw_ends.tolist(), strict=True):
        units.append((tuple(symbols[symbol:symbol_end]), raw[byte:raw_end]))
        symbol, byte = symbol_end, raw_end
    return units


@pytest.mark.parametrize("view", ["bpe", "gzip", "ngram"])
def test_symbols_and_collisions_are_counted(dataset: Dataset, view: str) -> None:
    found = figures(dataset)["views"][view]
    units = slow_units(dataset, view)
    symbols = Counter(symbol for of_unit, _ in units for symbol in of_unit)
    colliding = [a for a in units if any(a[0] == b[0] and a[1] != b[1] for b in units)]
    entropy = -sum(n / symbols.total() * math.log2(n / symbols.total()) for n in symbols.values())
    assert found["symbols"] == symbols.total()
    assert found["different_symbols"] == len(symbols)
    assert found["bits_per_symbol"] == pytest.approx(entropy)
    assert found["units"] == len(units)
    assert found["different_units"] == len({of_unit for of_unit, _ in units})
    assert found["colliding_units"] == len(colliding)
    assert (len(colliding) > 0) == (view == "ngram")


def test_a_window_codec_tells_what_each_step_costs(dataset: Dataset) -> None:
    found = figures(dataset)["views"]["ngram"]["codec"]
    codec = open_codec(dataset.manifest.view("ngram"), dataset.folder)
    assert isinstance(codec, WindowCodec)
    raw = dataset.split("val").document(0).raw.tobytes()
    starts = set(codec._segments([raw])[2].tolist())
    bits = {"document": 0.0, "segment": 0.0}
    start = 0
    for index, byte in enumerate(raw):
        start = index if index in starts else start
        for name, first in (("document", 0), ("segment", start)):
            table, row = codec.model.following(raw[first:index])
            low, high = table.cumulative_RC[row, byte : byte + 2].tolist()
            bits[name] += math.log2(TOTAL / (high - low))
    units = slow_units(dataset, "ngram")
    windows = len(units)
    assert found == {
        "bits per byte, context from the document": pytest.approx(bits["document"] / len(raw)),
        "bits per byte, context from the segment": pytest.approx(bits["segment"] / len(raw)),
        "bits per byte, windows": pytest.approx(16 * windows / len(raw)),
        "bytes per segment": pytest.approx(len(raw) / len(starts)),
        "windows that begin a segment": pytest.approx(len(starts) / windows),
        "windows of a single byte": pytest.approx(sum(len(raw_of) == 1 for _, raw_of in units) / windows),
    }
    assert list(found.values())[:3] == sorted(list(found.values())[:3])


def test_a_part_of_a_large_split_is_measured(dataset: Dataset) -> None:
    whole, part = figures(dataset), figures(dataset, most_bytes=10)
    assert whole["raw_bytes"] == part["raw_bytes"] == dataset.split("val").raw_bytes  # one document, taken whole
    assert (whole["split"], whole["documents"]) == ("val", 1)


def test_without_documents_nothing_is_measured(tmp_path: Path) -> None:
    write_dataset(tmp_path, [Row(b"empty", b"")], VIEWS[1:2])
    view = figures(Dataset(tmp_path))["views"]["gzip"]
    assert (view["units"], view["bits_per_symbol"], view["codec"]) == (0, None, {})


def test_the_command_line_shows_them(dataset: Dataset) -> None:
    shown = CliRunner().invoke(main, ["stats", str(dataset.folder), "--measure"])
    assert shown.exit_code == 0, shown.output
    assert "measured on 1 documents of val" in shown.output
    assert "windows that begin a segment" in shown.output
    as_json = CliRunner().invoke(main, ["stats", str(dataset.folder), "--measure", "--json"])
    assert json.loads(as_json.output)["measured"] == figures(dataset)
    plain = CliRunner().invoke(main, ["stats", str(dataset.folder), "--json"])
    assert "measured" not in json.loads(plain.output)


_DEADLY = """
import os, signal
from pcdata.codecs.gzip import GzipCodec
class Deadly(GzipCodec):
    def figures(self, documents):
        {work}
"""


@pytest.mark.parametrize(
    ("work", "says"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"died \(SIGSEGV\)"),
        ("while True: pass", "took more than 1 seconds of processor time"),
    ],
)
def test_a_codec_that_kills_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str, says: str) -> None:
    plug_in(tmp_path / "plugin", _DEADLY.format(work=work), monkeypatch)
    manifest = write_dataset(tmp_path / "dataset", views=("gzip",))
    save(tmp_path / "dataset", replace(manifest, views=(replace(manifest.views[0], codec="deadly"),)))
    monkeypatch.setattr(
        "pcdata.inspection.symbol_statistics._LIMITS", Limits(memory_bytes=1_000_000_000, cpu_seconds=1)
    )
    with pytest.raises(CodecError, match=f"view gzip: the process that measured its codec {says}; manifest.json of .*"):
        figures(Dataset(tmp_path / "dataset"))
