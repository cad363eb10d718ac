"""The learning rate is a function of the step, and the decay spares what it should."""

from __future__ import annotations

import itertools
import math

import pytest

from pctrain.config import ModelConfig, TrainConfig
from pctrain.model.decoder import Decoder
from pctrain.training.optim import learning_rate, make_optimizer


def test_cosine_rises_then_falls_to_the_final_rate() -> None:
    train = TrainConfig(steps=1000, lr=2e-3, lr_warmup_steps=100)
    rates = [learning_rate(step, train) for step in range(1001)]
    assert rates[:100] == [pytest.approx(2e-3 * (step + 1) / 100) for step in range(100)]
    assert rates[100] == pytest.approx(2e-3)
    assert rates[550] == pytest.approx(2e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2))
    assert rates[1000] == pytest.approx(2e-4)
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_wsd_is_constant_then_linear() -> None:
    train = TrainConfig(steps=1000, lr=1.0, lr_warmup_steps=10, schedule="wsd", lr_decay_fraction=0.2, lr_final=0.0)
    assert {learning_rate(step, train) for step in range(10, 801)} == {1.0}
    assert learning_rate(900, train) == pytest.approx(0.5)
    assert learning_rate(1000, train) == 0.0


def test_a_warm_up_longer_than_the_run_never_divides_by_zero() -> None:
    train = TrainConfig(steps=5, lr=1.0, lr_warmup_steps=10)
    assert [learning_rate(step, train) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert learning_rate(0, TrainConfig(steps=1, lr=1.0, lr_warmup_steps=0)) == 1.0


@pytest.mark.parametrize("tied", [False, True])
def test_weight_decay_falls_on_matrices_only(tied: bool) -> None:
    config = ModelConfig(width=32, layers=2, attention_heads=2, kv_heads=1, hidden=48, tie_embeddings=tied)
    model = Decoder(config, 384)
    optimizer = make_optimizer(model, TrainConfig(weight_decay=0.25))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decay = {names[it]: group["weight_decay"] for group in optimizer.param_groups for it in group["params"]}
    assert decay.keys() == set(names.values())
    spared = {name for name, value in decay.items() if value == 0}
    assert spared == {name for name in decay if "norm" in name or name == "embed.weight"}
    assert set(decay.values()) == {0.0, 0.25}
