"""Every preset is a model that can take a step: a real one, or on the meta device where that would fill the memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcdata.dataset import Dataset
from pcdata.dataset.vocab import RAW_IDS
from pctrain.config import presets, resolve
from pctrain.model.decoder import Decoder
from pctrain.model.loss import Objective
from pctrain.training.job import Job
from pctrain.training.optim import make_optimizer
from pctrain.training.step import take_step
from tests.made_run import make_dataset

SIZES = {"tiny": 1e6, "small": 50e6, "base": 150e6, "large": 0.5e9, "xl": 1.5e9}
"""Parameters with a vocabulary of 16k for all but tiny, which has a small one."""
SIZES |= {"neural-1m": 1e6, "neural-5m": 5e6, "neural-40m": 40e6}
"""Of a codec's byte models, which have raw ids alone."""

CUT = [
    "data.seq_len=16",
    "data.rows=1",
    "train.steps=1",
    "train.compile=false",
    'train.device="cpu"',
    "data.prefetch=0",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


def test_the_table_above_is_complete() -> None:
    assert set(presets()) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_the_size_is_as_announced_and_a_meta_step_runs(name: str) -> None:
    config = resolve(name, None, [])
    with torch.device("meta"):
        small = RAW_IDS if name.startswith("neural") else 512
        model = Decoder(config.model, small if SIZES[name] < 1e7 or small == RAW_IDS else 16_704)
        optimizer = make_optimizer(model, config.train)
        rows = torch.zeros(1, config.data.seq_len, dtype=torch.long)
        sums = Objective(model, [])(rows, rows, rows, rows, rows)
        sums.nats.backward()
        optimizer.step()
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert 0.8 * SIZES[name] < n_parameters < 1.2 * SIZES[name]
    assert config.model.reach or model.layers[0].attention.head_width in (32, 64, 128)  # what flex attention can


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "small",
        "neural-1m",
        pytest.param("base", marks=pytest.mark.slow),
        pytest.param("large", marks=pytest.mark.slow),
    ],
)
def test_a_real_step_runs(dataset: Dataset, tmp_path: Path, name: str) -> None:
    job = Job.prepare(dataset, tmp_path, resolve(name, None, CUT))
    before = job.model.layers[-1].feed.down.weight.detach().clone()
    losses = take_step(job, 1e-3, job.loader.next_batch())
    assert 4 < losses.nats / losses.targets < 9
    assert not torch.equal(before, job.model.layers[-1].feed.down.weight)
