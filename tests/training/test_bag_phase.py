"""A run that begins in bags: it goes on as one that nothing disturbed, and says what it cost."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcdata.dataset import Dataset
from pctrain.config import resolve
from pctrain.data.batch import Batch
from pctrain.inference.plot import read_curve
from pctrain.model.flops import flops_of_step
from pctrain.training import loop
from pctrain.training.job import Job
from pctrain.training.loop import fit
from pctrain.training.step import take_step
from tests.made_run import SETTINGS, make_dataset

BAGS = (*SETTINGS, "train.bag=4", "train.bag_fraction=0.5", "mixture.initial_share=0.5")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


def lines(run: Path) -> list[dict[str, Any]]:
    parsed = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in parsed if line["kind"] == "train"]


def test_a_run_goes_on_over_the_end_of_the_phase(dataset: Dataset, tmp_path: Path, monkeypatch: Any) -> None:
    """Checkpoints at 4, 8 and 12, the phase ends at 6; killed at 7."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fit(dataset.folder, whole, resolve(None, None, BAGS), quiet=True)
    real, steps = loop.take_step, itertools.count()

    def dies(job: Job, rate: float, batch: Batch) -> Any:
        if next(steps) == 7:
            raise InterruptedError
        return real(job, rate, batch)

    monkeypatch.setattr(loop, "take_step", dies)
    with pytest.raises(InterruptedError):
        fit(dataset.folder, cut, resolve(None, None, BAGS), quiet=True)
    fit(dataset.folder, cut, resolve(None, None, BAGS), quiet=True)
    what = ("step", "targets", "nats", "gradient_norm", "data")
    assert [[line[key] for key in what] for line in lines(cut)] == [
        [line[key] for key in what] for line in lines(whole)
    ]
    for line in lines(whole):
        most = 2 * 4 * 64 // (4 if line["step"] <= 6 else 1)
        assert most / 2 < line["targets"] <= most
        seen = sum(view["targets"] for view in line["views"].values())
        assert seen == line["targets"] if line["step"] > 6 else seen > 3 * line["targets"]
    config, n_ids = resolve(None, None, BAGS), dataset.vocabulary.padded_size
    curve, costs = read_curve(whole, "whole"), [flops_of_step(config, n_ids, step) for step in range(12)]
    assert (
        curve.costs["flops"].tolist() == np.cumsum([0, *(costs[at] + costs[at + 1] for at in range(0, 12, 2))]).tolist()
    )
    assert costs[5] < costs[6] / 3.9


@pytest.mark.parametrize("more", [(), ("model.byte_mean=true",)])
def test_one_batch_is_learned_as_far_as_bags_allow(dataset: Dataset, tmp_path: Path, more: tuple[str, ...]) -> None:
    """The least there is: of each bag's targets, all different, one in so many under one softmax."""
    job = Job.prepare(dataset, tmp_path, resolve(None, None, [*BAGS, *more, "model.width=64", "data.rows=1"]))
    batch, job.objective.bag = job.loader.batch(0), 4
    losses = [take_step(job, 1e-2, batch) for _ in range(60)]
    assert losses[0].nats / losses[0].targets > 5
    assert losses[-1].nats / losses[-1].targets < np.log(4) + 0.1
    assert torch.isfinite(losses[-1].nats_W).all()
