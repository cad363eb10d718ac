"""Runs with training methods: exact resume inside their phases and at the ends of them, and on any number of processes.

A method is here by one line in ``METHODS``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pctrain.config import resolve
from pctrain.training.checkpoint import checkpoints
from pctrain.training.loop import fit
from tests.made_run import SETTINGS, VIEW, make_dataset, saved_tensors
from tests.training.ranks import run

STEPS = 8
EVERY = [
    *SETTINGS,
    f"train.steps={STEPS}",
    "log.every=1",
    "eval.every=0",
    "checkpoint.every=1",
    "checkpoint.keep_last=99",
]
RAW = ("mixture.mode=raw", "mixture.warmup_fraction=0")
METHODS = {
    "superposition": (*RAW, "superposition.bag=3", "superposition.fraction=0.5"),
    "unit bags": (*RAW, "superposition.bag=8", f"superposition.units={VIEW}", "superposition.order=both"),
    "unit bags in pairs": (
        *("superposition.bag=8", f"superposition.units={VIEW}", "superposition.mixture=true"),
        *("superposition.fraction=0.25", "superposition.order=in", "mixture.warmup_fraction=0.5"),
    ),
}


def losses(folder: Path) -> list[tuple[int, Any, Any, Any]]:
    parsed = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in parsed if line["kind"] == "train"]
    return [(line["step"], line["nats"], line["gradient_norm"], line["data"]) for line in trained]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return saved_tensors(checkpoints(folder)[-1] / "model")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data")).folder


@pytest.fixture(scope="module", params=METHODS)
def whole(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An undisturbed run, with all of its checkpoints."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(data, folder, resolve(None, None, [*EVERY, *METHODS[request.param]]), quiet=True)
    return request.param, folder


def test_a_resume_is_exact(whole: tuple[str, Path], data: Path, tmp_path: Path) -> None:
    """Inside phases and where they end, after 2 or 4 steps."""
    name, undisturbed = whole
    for step in (1, 2, 4, 5):
        folder = tmp_path / str(step)
        shutil.copytree(undisturbed, folder)
        for checkpoint in checkpoints(folder)[step:]:
            shutil.rmtree(checkpoint)
        fit(data, folder, resolve(None, None, [*EVERY, *METHODS[name]]), quiet=True)
        assert losses(folder) == losses(undisturbed)
        found, wanted = weights(folder), weights(undisturbed)
        assert all(torch.equal(found[each], wanted[each]) for each in wanted)


def test_two_processes_make_the_same_run(whole: tuple[str, Path], data: Path, tmp_path: Path) -> None:
    name, undisturbed = whole
    folder = tmp_path / "run"
    more = [*EVERY[len(SETTINGS) :], *METHODS[name], "runtime.micro_rows=1"]
    assert run(2, data, folder, *more) == [f"{STEPS} None"] * 2
    for found, wanted in zip(losses(folder), losses(undisturbed), strict=True):
        assert found[3] == wanted[3]
        assert found[1:3] == pytest.approx(wanted[1:3], rel=1e-4)


def test_the_method_is_at_work(whole: tuple[str, Path], data: Path, tmp_path: Path) -> None:
    """It changes the run, so that the tests above say something."""
    _, undisturbed = whole
    fit(data, tmp_path / "plain", resolve(None, None, [*EVERY, *RAW]), quiet=True)
    assert losses(tmp_path / "plain") != losses(undisturbed)
