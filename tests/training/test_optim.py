"""The learning rate is a function of the step, and the decay spares what it should."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pctrain.config import ModelConfig, OptimConfig
from pctrain.model.decoder import Decoder, init_weights
from pctrain.training.optim import learning_rate, make_optimizer, set_learning_rate


def test_cosine_rises_then_falls_to_the_final_rate() -> None:
    steps, optim = 1000, OptimConfig(lr=2e-3, lr_warmup_steps=100)
    rates = [learning_rate(step, steps, optim) for step in range(1001)]
    assert rates[:100] == [pytest.approx(2e-3 * (step + 1) / 100) for step in range(100)]
    assert rates[100] == pytest.approx(2e-3)
    assert rates[550] == pytest.approx(2e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2))
    assert rates[1000] == pytest.approx(2e-4)
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_wsd_is_constant_then_linear() -> None:
    steps, optim = 1000, OptimConfig(lr=1.0, lr_warmup_steps=10, schedule="wsd", lr_decay_fraction=0.2, lr_final=0.0)
    assert {learning_rate(step, steps, optim) for step in range(10, 801)} == {1.0}
    assert learning_rate(900, steps, optim) == pytest.approx(0.5)
    assert learning_rate(1000, steps, optim) == 0.0


def test_a_warm_up_longer_than_the_run_never_divides_by_zero() -> None:
    steps, optim = 5, OptimConfig(lr=1.0, lr_warmup_steps=10)
    assert [learning_rate(step, steps, optim) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert learning_rate(0, 1, OptimConfig(lr=1.0, lr_warmup_steps=0)) == 1.0


def test_the_published_warm_up_is_one_step_behind() -> None:
    """``lr_cosine`` of Meta lingua, written out, over all steps of the published run."""
    steps, optim = 50_000, OptimConfig(lr=1.2e-3, lr_warmup_steps=500)

    def published(step: int) -> float:
        if step < 500:
            return 1.2e-3 * step / 500
        return 1.2e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * (step - 500) / 49_500)) / 2)

    assert published(0) == 0 < learning_rate(0, steps, optim)
    assert all(learning_rate(step - 1, steps, optim) == pytest.approx(published(step)) for step in range(1, 500))
    assert all(learning_rate(step, steps, optim) == pytest.approx(published(step)) for step in range(500, 50_000, 7))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("reach", [0, 5])
def test_weight_decay_falls_on_matrices_only(tied: bool, reach: int) -> None:
    config = ModelConfig(width=32, layers=2, attention_heads=2, kv_heads=1, hidden=48, reach=reach, tie_embeddings=tied)
    model = Decoder(config, 384)
    optimizer = make_optimizer(model, OptimConfig(weight_decay=0.25))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decay = {names[it]: group["weight_decay"] for group in optimizer.param_groups for it in group["params"]}
    assert decay.keys() == set(names.values())
    spared = {name for name, value in decay.items() if value == 0}
    assert spared == {name for name in decay if "norm" in name or name == "embed.weight" or name.endswith("near")}
    assert sum(name.endswith("near") for name in spared) == (2 if reach else 0)
    assert set(decay.values()) == {0.0, 0.25}


@pytest.mark.parametrize("decays", ["matrices", "all"])
def test_all_decay_as_in_plain_torch_where_norms_multiply_by_one_plus_their_weights(decays: str) -> None:
    """The published model's optimizer is AdamW over every parameter, and its norms hold what they differ from 1 by."""
    config = ModelConfig(width=32, layers=2, attention_heads=2, kv_heads=1, hidden=48, raw_predict_heads=2)
    model = Decoder(config, 384)
    init_weights(model, 0)
    optim = OptimConfig(weight_decay=0.25, weight_decay_on=decays)
    optimizer = make_optimizer(model, optim)
    ours = dict(model.named_parameters())
    one = {name: float("norm" in name) for name in ours}
    theirs = {name: torch.nn.Parameter((ours[name].detach() - one[name]).double()) for name in ours}
    plain = torch.optim.AdamW(theirs.values(), betas=(0.9, 0.95), eps=1e-15, weight_decay=0.25)
    for step in range(20):
        generator = torch.Generator().manual_seed(step)
        for name, parameter in ours.items():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            theirs[name].grad = parameter.grad.double()
        for each in (optimizer, plain):
            set_learning_rate(each, 0.01 * (step + 1) / 20)
            each.step()
    apart = {name: (ours[name] - one[name] - theirs[name]).detach().abs().max().item() for name in ours}
    differ = {name for name, distance in apart.items() if distance > 1e-5}
    assert differ == ({name for name in apart if "norm" in name or "embed" in name} if decays == "matrices" else set())
