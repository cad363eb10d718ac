"""``pcdata probe``: the published order, figures against slow calculations, and documents that no codec has seen."""

from __future__ import annotations

import math
import sysconfig
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from pcdata.building.progress import Reporter
from pcdata.codecs.bits import DoubleByteCodec
from pcdata.codecs.bpe import BpeCodec
from pcdata.errors import InputError, OptionError
from pcdata.probing import probe as module
from pcdata.probing import speed
from pcdata.probing.edits import EDITS, edited
from pcdata.probing.options import ProbeOptions
from pcdata.probing.probe import probe
from pcdata.probing.results import Probe, render
from pcdata.probing.sample import Sample
from tests.building.corpora import fit, options, write_code
from tests.probing.slow import slow_distance
from tests.strategies import library_files

LIBRARY = [Path(sysconfig.get_path("stdlib")) / name for name in ("asyncio", "email", "multiprocessing", "unittest")]
NOWHERE = Path("no folder of this name")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """The documents that probes draw."""
    samples = []
    draw = module.draw_sample

    def spy(*arguments: Any) -> Sample:
        samples.append(draw(*arguments))
        return samples[-1]

    monkeypatch.setattr(module, "draw_sample", spy)
    return samples


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code") / "with a space"
    write_code(folder)
    return folder


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pieces of real files, short enough for slow calculations."""
    folder = tmp_path_factory.mktemp("short")
    for number, raw in enumerate(library_files()):
        (folder / f"{number}.py").write_bytes(raw[:300])
    return folder


def probed(inputs: Path | list[Path], *compressors: str, seed: int = 0, most: int = 6, **rest: Any) -> Probe:
    asked = options(inputs, NOWHERE, *compressors, **rest).dataset
    return probe(ProbeOptions(asked, documents=most, document_bytes=(1, 64_000), seed=seed), Reporter())


def test_the_order_is_the_published_one() -> None:
    """Zheng et al. 2026: tokenizers are stable, arithmetic coding under a byte model less so, gzip is not."""
    found = probed(LIBRARY, "gzip", "ngram", "bpe:vocab_size=4096", most=30, include=("*.py",), fit_bytes=1_000_000)
    bpe, ngram, gzip = (found.compressors[name] for name in ("bpe", "ngram", "gzip"))
    assert [*found.compressors] == ["bpe", "ngram", "gzip"]
    for edit in EDITS:
        assert found.edited[edit] > 20
        distances = [each[edit] or math.nan for each in (bpe.distances, ngram.distances, gzip.distances)]
        assert distances == sorted(distances), edit
    assert (bpe.locality.mean or 0) < (ngram.locality.mean or 0) < (gzip.locality.mean or 0)
    assert (bpe.locality.never, gzip.locality.never) == (0.0, 1.0)
    assert (bpe.units.colliding, bpe.units.ambiguous) == (0.0, 0.0)
    assert ngram.units.colliding > 0.1


def test_figures_are_what_their_definitions_say(short: Path, seen: list[Sample]) -> None:
    found = probed(short, "doublebyte", most=5)
    figures = found.compressors["doublebyte"]
    raws = seen[0].raws
    codec = DoubleByteCodec(DoubleByteCodec.Parameters(), {}, {})

    def symbols_of(raw: bytes) -> list[int]:
        return codec.encode([raw]).symbols.tolist()

    assert (found.documents, found.raw_bytes) == (5, sum(map(len, raws)))
    counts = Counter(symbol for raw in raws for symbol in symbols_of(raw))
    assert figures.bytes_per_symbol == found.raw_bytes / counts.total()
    shares = [count / counts.total() for count in counts.values()]
    assert figures.vocabulary.used == len(counts)
    assert figures.vocabulary.bits == pytest.approx(-sum(share * math.log2(share) for share in shares))
    for edit in EDITS:
        pairs = [(raw, edited(raw, edit, 0)) for raw in raws]
        changed = [(before, after) for before, after in pairs if before != after]
        assert found.edited[edit] == len(changed) > 0
        assert found.raw_distances[edit] == pytest.approx(mean_distance(changed, list))
        assert figures.distances[edit] == pytest.approx(mean_distance(changed, symbols_of))


def mean_distance(pairs: list[tuple[bytes, bytes]], symbols_of: Any) -> float:
    sequences = [(symbols_of(before), symbols_of(after)) for before, after in pairs]
    return fmean(slow_distance(left, right) / max(len(left), len(right)) for left, right in sequences)


def test_no_compressor_was_fitted_on_a_probed_document(
    code: Path, seen: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted_on: list[Sequence[bytes]] = []
    fit = BpeCodec.fit

    def spy(parameters: Any, sample: Sequence[bytes]) -> Any:
        fitted_on.append(list(sample))
        return fit(parameters, sample)

    monkeypatch.setattr(BpeCodec, "fit", spy)
    found = probed(code, "bpe:vocab_size=300", most=100, fit_bytes=1_000_000)
    assert len(fitted_on[0]) + found.documents == 40, "all documents are in one of the two"
    assert found.documents == found.of_documents == len(seen[0].raws) > 3
    assert not set(fitted_on[0]) & set(seen[0].raws)


def test_everything_but_speed_is_a_function_of_the_seed(code: Path, seen: list[Sample]) -> None:
    first, again, other = (without_speed(probed(code, "gzip", "zstd", seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first["raw_distances"] != other["raw_distances"]
    assert seen[0] == seen[1] != seen[2]


def without_speed(found: Probe) -> dict[str, Any]:
    values = found.to_dict()
    for figures in values["compressors"].values():
        assert figures.pop("encode")["mb_per_s"] > 0
        assert figures.pop("decode")["mb_per_s"] > 0
    return values


def test_an_artifact_may_be_handed_in_and_that_is_said(code: Path, tmp_path: Path) -> None:
    fit(options(code, tmp_path / "mine", "bpe:vocab_size=280"))
    found = probed(code, f"bpe:artifact={tmp_path / 'mine'}", "bpe:vocab_size=280,name=fitted")
    handed, fitted = found.compressors["bpe"], found.compressors["fitted"]
    assert (handed.handed_in, fitted.handed_in) == (True, False)
    assert handed.distances == fitted.distances
    assert "bpe: a given artifact, which may have been fitted on the probed documents" in render(found)


def test_bytes_that_are_no_text_are_probed_too(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.bin").write_bytes(bytes((number * 7 + place * place) % 251 for place in range(800)))
    found = probed(tmp_path, "bpe:vocab_size=300", "zstd", "bit", keep_binary=True)
    assert found.documents > 1
    assert all(figures.bytes_per_symbol > 0 for figures in found.compressors.values())


def test_an_edit_that_changes_nothing_has_no_figure(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"{number}\n")
    found = probed(tmp_path, "gzip")
    assert found.edited["rename"] == 0
    assert found.raw_distances["rename"] is None
    assert found.compressors["gzip"].distances["rename"] is None
    assert "–" in render(found)
    assert f"rename {found.documents}" in render(found)


def test_documents_of_other_lengths_are_not_probed(code: Path, seen: list[Sample]) -> None:
    asked = options(code, NOWHERE, "gzip").dataset
    probe(ProbeOptions(asked, document_bytes=(1_000, 3_000)), Reporter())
    assert {1_000 <= len(raw) <= 3_000 for raw in seen[0].raws} == {True}
    with pytest.raises(InputError, match=r"no document of val has at least 999,999 bytes"):
        probe(ProbeOptions(asked, document_bytes=(999_999, 2**63 - 1)), Reporter())


def test_options_that_leave_nothing_to_probe_are_refused(code: Path) -> None:
    for rest, wrong in {
        (("val_fraction", 0.0),): "--val-fraction 0 leaves no documents",
        (("documents", 0),): "--documents must be",
        (("document_bytes", (9, 3)),): "--document-bytes must be A:B with A at most B, got 9:3",
    }.items():
        given = dict(rest)
        asked = options(code, NOWHERE, "gzip", **({} if "val_fraction" not in given else given)).dataset
        with pytest.raises(OptionError, match=wrong):
            ProbeOptions(asked, **({} if "val_fraction" in given else given))
    with pytest.raises(OptionError, match="no compressor given"):
        ProbeOptions(options(code, NOWHERE).dataset)


def test_speed_is_the_median_of_passes_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [0.0], []

    def work(count: int) -> None:
        asked.append(count)
        clock[0] += 0.06 * count * (10 if len(asked) == 4 else 1)

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    found = speed.measure(work, [30_000] * 100)
    assert asked == [1, 2, 4] + [4] * speed.PASSES, "twice as many until a pass takes long enough"
    assert found.raw_bytes == 120_000
    assert found.mb_per_s == pytest.approx(0.12 / 0.24), "one slow pass is no matter"


def test_speed_of_few_documents_is_of_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(speed.time, "perf_counter", lambda: 0.001 * len(asked))
    assert speed.measure(asked.append, [5, 6, 7]).raw_bytes == 18
    assert asked == [1, 2, 3] + [3] * speed.PASSES
