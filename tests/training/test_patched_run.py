"""A run of a model of patches: it resumes, counts its flops, is measured and generates, and says what it cannot do."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pcdata.dataset import Dataset
from pcdata.dataset.vocab import RAW_VIEW
from pctrain.api import Run
from pctrain.cli import main
from pctrain.config import RunConfig
from pctrain.data.units import RawUnits
from pctrain.errors import ConfigError, PctrainError
from pctrain.inference.evaluate import evaluate_run
from pctrain.inference.export import export_run
from pctrain.inference.plot import read_curve
from pctrain.model.decoder import Counts
from pctrain.model.flops import flops_of_step, flops_per_position
from pctrain.model.memory import memory_of_step
from pctrain.model.scoring import Windowing, cut
from pctrain.model.size import planned_size
from pctrain.training import checkpoint, loop
from pctrain.training.loop import fit
from pctrain.training.trainer import Trainer
from tests.made_run import VIEW, make_dataset, make_texts, saved_tensors, settings, write_dataset

RAW = ("mixture.mode=raw", "mixture.warmup_mode=raw")
PADS = ("patched.scratchpads=true", "patched.threshold=7.65")
CUTS = {
    "fixed": ("patched.patches=fixed",),
    "spaces": ("patched.patches=spaces", *PADS),
    "units": (f"patched.patches={VIEW}", *PADS),
}


def patched(*more: str) -> RunConfig:
    return settings("model.kind=patched", "patched.reach=16", "runtime.peak_flops=1e9", *RAW, *more)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, cuts in CUTS.items():
        fit(dataset.folder, folder / name, patched(*cuts), quiet=True)
    return {name: folder / name for name in CUTS}


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


@pytest.mark.parametrize("name", CUTS)
def test_a_run_that_was_broken_off_goes_on_to_the_last_bit(
    dataset: Dataset, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run, real, steps = tmp_path / "run", loop.take_step, iter(range(100))

    def take_step(*args: Any) -> Any:
        if next(steps) == 7:
            raise PctrainError("broken off")
        return real(*args)

    monkeypatch.setattr(loop, "take_step", take_step)
    with pytest.raises(PctrainError, match="broken off"):
        fit(dataset.folder, run, patched(*CUTS[name]), quiet=True)
    monkeypatch.setattr(loop, "take_step", real)
    fit(dataset.folder, run, patched(*CUTS[name]), quiet=True)
    for kind, keys in {"train": ("nats", "patches"), "val": ("raw_bits", "patches")}.items():
        ours, whole = ([[line[key] for key in keys] for line in lines(one, kind)] for one in (run, runs[name]))
        assert ours == whole
    found, expected = (saved_tensors(one / "checkpoints/step-00000012/model") for one in (run, runs[name]))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


def test_the_log_counts_patches_and_their_flops(dataset: Dataset, runs: dict[str, Path]) -> None:
    config, total = patched(*CUTS["units"]), 0.0
    for line in lines(runs["units"], "train"):
        counts = Counts(**line["patches"])
        assert counts.positions == line["data"]["positions"] - line["data"]["padding"]
        assert counts.patches > counts.positions / 3
        assert 0 < counts.scratchpads <= counts.positions - counts.patches
        spent = line["steps"] * flops_of_step(config, 320, counts.entries)
        assert line["flops_per_second"] / line["symbols_per_second"] == pytest.approx(spent / line["data"]["positions"])
        total += spent
        assert read_curve(runs["units"], "").along("flops", line["step"]) == pytest.approx(total)


def test_flops_are_those_of_each_stage() -> None:
    config = patched("patched.patches=fixed", "patched.length=8")
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48
    of_bytes = 2 * (6 * layer + 12 * 32 * 32)
    of_patches = 2 * (6 * layer + 12 * 32 * 8) / 8
    assert flops_per_position(config, 320) == of_bytes + of_patches + 6 * 320 * 32
    assert flops_per_position(config, 320, entries=1.0) > 1.5 * flops_per_position(config, 320)
    assert memory_of_step(config, 320, torch.device("cpu")).total_bytes > 0


def test_the_planned_size_is_that_of_the_model(dataset: Dataset, tmp_path: Path) -> None:
    config = patched(*CUTS["spaces"])
    model = Trainer.prepare(dataset, tmp_path, config).model
    assert planned_size(config, 320).parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", CUTS)
def test_a_measurement_does_not_depend_on_how_many_windows_are_scored_at_once(runs: dict[str, Path], name: str) -> None:
    found = [evaluate_run(runs[name], rows=rows, quiet=True) for rows in (1, 7)]
    values = [one.to_dict() for one in found if one is not None]
    assert values[0]["raw"]["bits"] == pytest.approx(values[1]["raw"]["bits"], rel=1e-6)
    assert values[0]["patches"] == values[1]["patches"]
    assert values[0]["raw"]["symbols"] == values[0]["raw_bytes"]
    assert found[0] is not None
    assert ("leave out where those begin" in found[0].table()) == (name == "units")


def test_the_threshold_moves_at_evaluation(runs: dict[str, Path]) -> None:
    run = Run(runs["spaces"])
    found = {threshold: run.evaluate(threshold=threshold).to_dict() for threshold in (None, 0.0, float("inf"))}
    pads = [values["patches"]["scratchpads"] for values in found.values()]
    assert pads[1] > pads[0] > pads[2] == 0
    assert len({values["raw"]["bits"] for values in found.values()}) == 3
    done = CliRunner().invoke(
        main, ["generate", str(runs["spaces"]), "--scratchpad-threshold", "0", "--max-bytes", "9"]
    )
    assert (done.exit_code, "patches for" in done.output) == (0, True)
    assert run.generate("the ", max_bytes=5, threshold=0.0).startswith("the ")
    done = CliRunner().invoke(main, ["eval", str(runs["fixed"]), "--scratchpad-threshold", "1"])
    assert (done.exit_code, "has no scratchpads" in done.output) == (1, True)


def test_units_are_read_in_measurements_as_in_training(dataset: Dataset, runs: dict[str, Path]) -> None:
    """Three bytes each, so a patch ends with every third byte of a document, at marks, and where a window begins."""
    found, split, expected = evaluate_run(runs["units"], quiet=True), dataset.split("val"), 0
    for number in range(split.n_documents):
        document = split.document(number)
        units = np.arange(len(document.raw)) // 3
        for window in cut(document.raw, RAW_VIEW, document.part_start_bytes == 0, Windowing(64, 64), units):
            expected += len(window.opening) + len(np.unique(window.units[:-1]))
    assert found is not None
    assert found.patches is not None
    assert found.patches.patches == expected > 400


def test_the_units_of_a_document_are_its_own(tmp_path: Path) -> None:
    split = write_dataset(tmp_path, make_texts(3, 0), [b"ab", b"abcdefgh"]).split("val")
    of = RawUnits(VIEW).of
    assert np.diff(of(split, 0, 1, 1, 8)).tolist() == [0, 1, 0, 0, 1, 0]
    assert of(split, 0, 0, 0, 2).tolist() == [0, 0]
    lengths = [np.diff(RawUnits(VIEW, seed).of(split, 0, 1, 0, 8)).tolist() for seed in range(9)]
    assert {tuple(one) for one in lengths} == {(0, 0, 1, 0, 0, 1, 0), (0, 0, 1, 0, 1, 0, 0), (0, 1, 0, 0, 1, 0, 0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("mixture.mode=mixed",), "reads raw bytes alone, but the mixture"),
        (("superposition.bag=4",), "reads bytes, not bags"),
        (("model.reach=8",), "patched.reach"),
        (("patched.patches=space",), f"fixed, spaces, {VIEW} .*got 'space'"),
    ],
)
def test_what_it_cannot_do_is_refused(dataset: Dataset, tmp_path: Path, change: tuple[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer.prepare(dataset, tmp_path, patched(*change))


def test_it_is_no_llama(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(PctrainError, match="has a model of patches"):
        export_run(runs["fixed"], tmp_path / "hf")
    done = CliRunner().invoke(main, ["generate", str(runs["units"]), "--max-bytes", "9"])
    assert (done.exit_code, f"units of view '{VIEW}'" in done.output) == (1, True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.width", 1 << 19),
        ("model.layers", 4000),
        ("patched.encoder_layers", 4000),
        ("patched.scratchpads", True),
        ("patched.reach", 1 << 19),
        ("model.kind", "decoder"),
    ],
)
def test_a_strangers_settings_take_no_memory(
    dataset: Dataset, runs: dict[str, Path], tmp_path: Path, key: str, value: Any
) -> None:
    """A reach costs none: it is bounded by the row."""
    run = tmp_path / "run"
    shutil.copytree(runs["fixed"], run)
    folder = checkpoint.checkpoints(run)[-1]
    state, sums = folder / "state.json", folder / "SHA256SUMS"
    before = hashlib.sha256(state.read_bytes()).hexdigest()
    for path in (state, run / "config.json"):
        values = json.loads(path.read_text())
        section, name = key.split(".")
        values["config"][section][name] = value
        path.write_text(json.dumps(values))
    sums.write_text(sums.read_text().replace(before, hashlib.sha256(state.read_bytes()).hexdigest()))
    done = CliRunner().invoke(main, ["generate", str(run), "--max-bytes", "3"])
    if key == "patched.reach":
        assert done.exit_code == 0
    else:
        assert (done.exit_code, "belongs to another model" in done.output) == (1, True), done.output
        assert ("layers or heads" in done.output) == key.endswith("layers"), "such layers are not even tried"
