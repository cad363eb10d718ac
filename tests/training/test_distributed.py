"""Several processes are one run: the same losses and weights, from and to any number of them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from pctrain.config import resolve
from pctrain.training.checkpoint import checkpoints
from pctrain.training.distributed import World
from pctrain.training.loop import fit
from tests.made_run import SETTINGS, VIEW, make_dataset, saved_tensors
from tests.training.ranks import run

METHOD = (
    *(f"boundaries.units={VIEW}", "boundaries.prior=start", "boundaries.loss=unit", "boundaries.suffix=99"),
    *("boundaries.distance=unit", "boundaries.fraction=0.5"),
)
"""Its parameters are shared too, also in steps that do not use them, and by a process that has only empty rows."""

HEADS = (
    *METHOD,
    "model.predict_heads=2",
    "model.raw_predict_heads=3",
    "runtime.micro_rows=1",
    "data.rows=5",
    "train.steps=6",
    "eval.every=3",
)


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    parsed = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in parsed if line["kind"] == kind]


def tensors(folder: Path, part: str = "model") -> dict[str, torch.Tensor]:
    return saved_tensors(checkpoints(folder)[-1] / part)


def check_same(folder: Path, whole: Path) -> None:
    for found, expected in zip(lines(folder, "train"), lines(whole, "train"), strict=True):
        assert found["data"] == expected["data"]
        assert found["targets"] == expected["targets"]
        assert found.get("patches", {}).get("positions") == expected.get("patches", {}).get("positions")
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        assert found["gradient_norm"] == pytest.approx(expected["gradient_norm"], rel=1e-4)
    for found, expected in zip(lines(folder, "val"), lines(whole, "val"), strict=True):
        assert found["raw_bits_per_byte"] == pytest.approx(expected["raw_bits_per_byte"], abs=1e-5)
    ours, theirs = tensors(folder), tensors(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    averages, expected = tensors(folder, "optimizer"), tensors(whole, "optimizer")
    assert {name: value.shape for name, value in averages.items()} == {
        name: value.shape for name, value in expected.items()
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data")).folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(data, folder, resolve(None, None, [*SETTINGS, *HEADS]), quiet=True)
    return folder


def test_two_processes_make_the_same_run_and_go_on_to_the_last_bit(data: Path, whole: Path, tmp_path: Path) -> None:
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    assert run(2, data, through, *HEADS) == ["6 None"] * 2
    check_same(through, whole)
    assert run(2, data, stopped, *HEADS, stop=(2, 1)) == [f"3 {int(signal.SIGTERM)}"] * 2
    assert run(2, data, stopped, *HEADS) == ["6 None"] * 2
    found, expected = ({line["step"]: line for line in lines(each, "train")} for each in (stopped, through))
    for step in (4, 6):
        assert found[step]["gradient_norm"] == expected[step]["gradient_norm"]
    assert found[6]["nats"] == expected[6]["nats"]
    for part in ("model", "optimizer"):
        ours, theirs = tensors(stopped, part), tensors(through, part)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), part


@pytest.mark.parametrize(("size", "more"), [(3, ()), (4, ("runtime.replicas=2",))])
def test_any_number_of_processes_makes_the_same_run(
    data: Path, whole: Path, tmp_path: Path, size: int, more: tuple[str, ...]
) -> None:
    """Five rows, which none of the numbers divides, one at a time."""
    assert run(size, data, tmp_path / "run", *HEADS, *more) == ["6 None"] * size
    check_same(tmp_path / "run", whole)


def test_a_signal_to_one_stops_all_and_another_number_goes_on(data: Path, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(3, data, folder, *HEADS, stop=(3, 2)) == [f"4 {int(signal.SIGTERM)}"] * 3
    assert [path.name for path in checkpoints(folder)] == ["step-00000004"]
    assert run(2, data, folder, *HEADS) == ["6 None"] * 2
    found, expected = ({line["step"]: line for line in lines(each, "train")} for each in (folder, whole))
    assert found[6]["data"] == expected[6]["data"]
    assert found[6]["loss"] == pytest.approx(expected[6]["loss"], abs=1e-6)
    assert len(lines(folder, "start")) == 2


def test_a_model_of_patches_makes_the_same_run(data: Path, tmp_path: Path) -> None:
    patched = [*HEADS, "model.kind=patched", "patched.scratchpads=true", "patched.threshold=7.8", "patched.reach=8"]
    patched += ["mixture.mode=raw", "mixture.warmup_mode=raw", "boundaries.distance=byte"]
    fit(data, tmp_path / "whole", resolve(None, None, [*SETTINGS, *patched]), quiet=True)
    assert run(2, data, tmp_path / "run", *patched) == ["6 None"] * 2
    check_same(tmp_path / "run", tmp_path / "whole")


def test_one_process_is_a_world_of_its_own() -> None:
    world = World()
    assert (world.is_first, world.largest(7)) == (True, 7)
    world.wait()
