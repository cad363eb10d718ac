"""The figure's points are the run's own numbers, and the file is one that programs open."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pcdata.dataset.files import temporary_name
from pcdata.errors import OptionError
from pctrain.config import DataConfig, ModelConfig, RunConfig, resolve
from pctrain.data.schedule import Schedule
from pctrain.errors import CheckpointError, PctrainError
from pctrain.inference.plot import plot, read_curve
from pctrain.model.decoder import Decoder
from pctrain.model.flops import flops_per_position
from pctrain.training.loop import fit
from pctrain.training.optim import learning_rate
from tests.made_run import SETTINGS, make_dataset


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One with the published schedule, one on raw bytes that went on with more steps and another rate."""
    folder = tmp_path_factory.mktemp("plot")
    data = make_dataset(folder / "data").folder
    fit(data, folder / "one" / "run", resolve(None, None, SETTINGS), quiet=True)
    raw = [*SETTINGS, "mixture.mode=raw", "mixture.warmup_fraction=0"]
    fit(data, folder / "two" / "run", resolve(None, None, raw), quiet=True)
    fit(data, folder / "two" / "run", resolve(None, None, [*raw, "train.steps=20", "optim.lr=0.02"]), quiet=True)
    return [folder / "one" / "run", folder / "two" / "run"]


def test_points_and_costs_are_those_of_the_log(runs: list[Path]) -> None:
    curve = read_curve(runs[0], "one")
    lines = [json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    measured = {line["step"]: line["raw_bits_per_byte"] for line in lines if line["kind"] == "val"}
    assert dict(zip(curve.val_steps_P.tolist(), curve.bits_per_byte_P.tolist(), strict=True)) == measured
    symbols = shown = positions = 0
    for line in lines:
        if line["kind"] == "train":
            symbols += sum(line["data"]["symbols_by_view"].values())
            shown += line["data"]["raw_bytes"] + line["data"]["compressed_bytes"]
            positions += line["data"]["positions"]
            assert curve.along("symbols", line["step"]) == symbols
            assert curve.along("raw_bytes", line["step"]) == shown
            start = next(line for line in lines if line["kind"] == "start")
            config = RunConfig.from_dict(start["config"])
            assert curve.along("flops", line["step"]) == positions * flops_per_position(config, start["n_ids"])
    assert positions == 12 * 4 * 64
    assert shown > symbols > 0


def test_the_schedule_is_the_one_that_was_in_force(runs: list[Path]) -> None:
    curve = read_curve(runs[1], "two")
    steps, shares, rates = curve.schedule()
    first, second = (config for _, config in curve.settings)
    assert steps.tolist() == list(range(20))
    assert not shares.any()
    for step, rate in zip(steps.astype(int).tolist(), rates.tolist(), strict=True):
        config = first if step < 12 else second
        assert rate == learning_rate(step, config.train.steps, config.optim) / config.optim.lr
    steps, shares, _ = read_curve(runs[0], "one").schedule()
    schedule = Schedule(first.mixture.__class__(), 12)
    assert shares.tolist() == [schedule.at(int(step)).share for step in steps]


@pytest.mark.parametrize(("heads", "raw_heads"), [(1, 0), (3, 0), (2, 4)])
def test_flops_count_every_weight_that_multiplies(heads: int, raw_heads: int) -> None:
    shape = ModelConfig(
        width=32, layers=2, attention_heads=4, kv_heads=2, hidden=48, predict_heads=heads, raw_predict_heads=raw_heads
    )
    config = RunConfig(data=DataConfig(seq_len=100), model=shape)
    model = Decoder(shape, 640)
    weights = sum(
        parameter.numel() for name, parameter in model.named_parameters() if parameter.ndim == 2 and "embed" not in name
    )
    weights += (heads - 1) * model.head.weight.numel()  # used once for each head
    if model.raw_head is not None:
        weights += (raw_heads - heads - 1) * model.raw_head.weight.numel()
    assert flops_per_position(config, 640) == 6 * weights + 12 * 2 * 32 * 100
    longer = dataclasses.replace(config, model=dataclasses.replace(shape, layers=4))
    assert flops_per_position(longer, 640) > flops_per_position(config, 640)


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_file_is_what_its_name_says(runs: list[Path], tmp_path: Path, suffix: str, magic: bytes) -> None:
    output = tmp_path / f"my curves.{suffix}"
    temporary_name(output).touch()  # of one that was killed
    assert not plot(runs, output)
    assert output.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [output]
    assert plot(runs, output)  # it takes the place of the one that is there
    if suffix == "svg":
        text = output.read_text()
        assert all(f"<!-- {name} -->" in text for name in ("one/run", "two/run", "optimizer steps", "training flops"))


def test_what_cannot_be_drawn_gets_one_sentence(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must end in \.png, \.pdf, \.svg"):
        plot(runs, tmp_path / "curves.jpeg")
    with pytest.raises(CheckpointError, match="is not a run"):
        plot([tmp_path], tmp_path / "curves.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, data in (("config.json", (runs[0] / "config.json").read_bytes()), ("metrics.jsonl", b"")):
        (empty / name).write_bytes(data)
    with pytest.raises(PctrainError, match="has no measurement on val yet"):
        plot([empty], tmp_path / "curves.png")
    assert np.array_equal([path.name for path in tmp_path.iterdir()], ["empty"])
