"""The gradient of a global batch is the same however its rows are divided among processes and forward passes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pcdata.dataset import Dataset
from pctrain.config import MODES, resolve
from pctrain.data.loader import Loader
from pctrain.training.distributed import World
from pctrain.training.step import gradients
from pctrain.training.trainer import Trainer
from tests.made_run import SETTINGS, make_dataset


@dataclasses.dataclass(frozen=True)
class OneOf(World):
    """A process whose fellows are not there: it is told how many targets they all have, and adds up nothing else."""

    targets: int = 0

    def sum(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.array([self.targets]) if array.shape == (1,) else array


@st.composite
def runs(draw: st.DrawFn) -> list[str]:
    heads = draw(st.integers(1, 3))
    raw_heads = draw(st.sampled_from([0, heads + 1, heads + 3]))
    return [
        f"data.rows={draw(st.integers(1, 6))}",
        f"model.predict_heads={heads}",
        f"model.raw_predict_heads={raw_heads}",
        f"train.softmax={draw(st.sampled_from(['all', 'own']))}",
        f"mixture.mode={draw(st.sampled_from(MODES))}",
        "mixture.warmup_fraction=0",
        "mixture.share=0.5",
        "mixture.splice_bytes=20",
        "optim.clip=0",
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@given(settings=runs(), size=st.integers(1, 4), micro_rows=st.integers(0, 3))
def test_the_gradient_does_not_depend_on_how_the_batch_is_divided(
    dataset: Dataset, folder: Path, settings: list[str], size: int, micro_rows: int
) -> None:
    config = resolve(None, None, [*SETTINGS, *settings, "train.seed=3"])
    trainer = Trainer.prepare(dataset, folder, config)
    whole = gradients(trainer, trainer.loader.next_batch())
    expected = [parameter.grad for parameter in trainer.model.parameters()]
    assert whole.targets > 0

    trainer.model.zero_grad()
    divided = dataclasses.replace(config, runtime=dataclasses.replace(config.runtime, micro_rows=micro_rows))
    nats, targets_W = 0.0, torch.zeros_like(whole.targets_W)
    for rank in range(size):
        loader = Loader(
            dataset.split("train"), config.data, config.mixture, steps=12, seed=3, rank=rank, world_size=size
        )
        world = OneOf(rank, size, targets=whole.targets)
        found = gradients(dataclasses.replace(trainer, config=divided, world=world), loader.next_batch())
        nats += found.nats
        targets_W += found.targets_W
    assert nats == pytest.approx(whole.nats, rel=1e-6)
    assert torch.equal(targets_W, whole.targets_W)
    for parameter, gradient in zip(trainer.model.parameters(), expected, strict=True):
        assert parameter.grad is not None
        # Each process brings the gradient times their number, of which FSDP takes the mean.
        assert torch.allclose(parameter.grad / size, gradient, atol=1e-6)
