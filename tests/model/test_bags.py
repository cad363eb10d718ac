"""Bags against their definition, symbol by symbol; and that a row of several samples leaks nothing into any (law 7)."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pctrain.config import RunConfig, TrainConfig, resolve
from pctrain.data.batch import IGNORE
from pctrain.errors import ConfigError
from pctrain.model.bags import bag_at, in_bags, n_predicting
from pctrain.model.decoder import Decoder
from pctrain.model.flops import flops_of_step, flops_per_position
from pctrain.model.loss import Objective
from tests.model.test_loss import VIEWS, Made, batches, made_model


def cut(made: Made, n: int) -> Made:
    """To a length that ``n`` divides."""
    length = made.inputs_RT.shape[1] // n * n
    return Made(*(array[:, :length].contiguous() for array in made.rows(slice(None))))


def bags_of(made: Made, n: int) -> list[tuple[int, list[int], int, int, list[tuple[int, int]]]]:
    """Of each bag: its row, the ids that it shows, its sample, its position there, and its targets with their views."""
    found = []
    for row in range(len(made.inputs_RT)):
        inputs, samples = made.inputs_RT[row].tolist(), made.samples_RT[row].tolist()
        targets, views = made.targets_RT[row].tolist(), made.views_RT[row].tolist()
        met = Counter[int]()
        for end in range(n, len(inputs) + 1, n):
            sample = samples[end - 1]
            shown = [inputs[at] for at in range(end - n, end) if samples[at] == sample]
            # The symbol at ``at`` is the target of the place before it.
            following = [
                (targets[at - 1], views[at - 1])
                for at in range(end, min(end + n, len(inputs) + 1))
                if samples[at - 1] == sample and targets[at - 1] != IGNORE
            ]
            found.append((row, shown, sample, met[sample], following))
            met[sample] += 1
    return found


def slow_loss(model: Decoder, made: Made, n: int, softmax: str) -> tuple[float, list[float], list[int]]:
    """Each sample's bags go through the model alone."""
    bags, ranges = bags_of(made, n), [(64, 320), *VIEWS]
    total, nats_W, targets_W = 0.0, [0.0] * 3, [0] * 3
    for row, sample in {(bag[0], bag[2]): None for bag in bags if bag[2]}:
        own = [bag for bag in bags if (bag[0], bag[2]) == (row, sample)]
        x_1BD = torch.stack([model.embed(torch.tensor(shown)).mean(0) for _, shown, *_ in own])[None]
        hidden = model.through(x_1BD, torch.tensor([[bag[3] for bag in own]]))[0]
        for state, (*_, following) in zip(hidden, own, strict=True):
            terms = []
            for target, view in following:
                logits = (model.head.weight.double() @ state.double()).tolist()
                among = [*range(64), *range(*ranges[view])] if softmax == "own" else range(len(logits))
                terms.append(math.log(sum(math.exp(logits[each]) for each in among)) - logits[target])
                nats_W[view] += terms[-1]
                targets_W[view] += 1
            total += sum(terms) / len(terms) if terms else 0.0
    return total, nats_W, targets_W


@pytest.mark.parametrize("softmax", ["all", "own"])
def test_the_loss_is_its_definition(softmax: str) -> None:
    model, seen = made_model(1, 0), Counter[str]()
    objective = Objective(model, VIEWS, softmax)

    @given(batches(), st.integers(2, 4))
    def law(made: Made, n: int) -> None:
        made = cut(made, n)
        objective.bag = n
        sums = objective(*made.rows(slice(None)))
        total, nats_W, targets_W = slow_loss(model, made, n, softmax)
        assert sums.targets_W.tolist() == targets_W
        assert sums.nats.item() == pytest.approx(total, rel=1e-5, abs=1e-5)
        assert sums.nats_W.tolist() == pytest.approx(nats_W, rel=1e-5, abs=1e-5)
        following = [bag[4] for bag in bags_of(made, n)]
        assert n_predicting(made.targets_RT, made.samples_RT, n) == sum(map(bool, following))
        seen["mixed views"] += sum(len({view for _, view in each}) > 1 for each in following)
        seen["full bags"] += sum(len(each) == n for each in following)
        seen["cut bags"] += sum(0 < len(each) < n for each in following)
        seen["begun in an earlier sample"] += sum(len(bag[1]) < n for bag in bags_of(made, n))

    law()
    assert len(seen) == 4, seen
    assert min(seen.values()) > 0, seen


@given(batches(), st.integers(2, 4))
def test_the_gradient_does_not_depend_on_how_rows_are_divided(made: Made, n: int) -> None:
    made, model = cut(made, n), made_model(1, 0).double()
    objective = Objective(model, VIEWS)
    objective.bag = n

    def gradients(step: int) -> list[Tensor | None]:
        model.zero_grad(set_to_none=True)
        for start in range(0, len(made.inputs_RT), step):
            objective(*made.rows(slice(start, start + step))).nats.backward()
        return [parameter.grad for parameter in model.parameters()]

    whole, parts = gradients(len(made.inputs_RT)), gradients(1)
    for one, other in zip(whole, parts, strict=True):
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


@given(batches(), st.integers(2, 4), st.data())
def test_what_is_changed_in_a_sample_or_later_changes_nothing_else(made: Made, n: int, data: st.DataObject) -> None:
    """One symbol is another: bags of other samples, and bags before its own, see nothing of it."""
    made, model = cut(made, n), made_model(1, 0)
    row = data.draw(st.integers(0, len(made.inputs_RT) - 1))
    at = data.draw(st.integers(0, made.inputs_RT.shape[1] - 1))
    changed = made.inputs_RT.clone()
    changed[row, at] = 300 if changed[row, at] != 300 else 301

    def hidden(inputs: Tensor) -> Tensor:
        bags = in_bags(n, inputs, made.targets_RT, made.positions_RT, made.samples_RT, made.views_RT)
        x_RBD = (model.embed(bags.inputs_RBN) * bags.weights_RBN[..., None]).sum(2)
        return model.through(x_RBD, bags.positions_RB, bags.samples_RB)

    differs_RB = (hidden(changed) != hidden(made.inputs_RT)).any(-1)
    for each, bag in product(range(differs_RB.shape[0]), range(differs_RB.shape[1])):
        if differs_RB[each, bag]:
            assert each == row
            assert bag >= at // n
            assert made.samples_RT[row, (bag + 1) * n - 1] == made.samples_RT[row, at]
    own = made.samples_RT[row, at // n * n + n - 1] == made.samples_RT[row, at]
    assert differs_RB[row, at // n] == own


def test_one_symbol_to_a_bag_is_ordinary_training() -> None:
    model = made_model(1, 0)
    objective = Objective(model, VIEWS)

    @given(batches())
    def law(made: Made) -> None:
        plain = objective(*made.rows(slice(None)))
        bags = objective._of_bags(in_bags(1, *made.rows(slice(None))))
        assert bags.nats.item() == pytest.approx(plain.nats.item(), rel=1e-6)
        assert torch.equal(bags.targets_W, plain.targets_W)
        predicting = int((made.targets_RT != IGNORE).sum())
        assert n_predicting(made.targets_RT, made.samples_RT, 1) == predicting

    law()


def test_the_phase_is_the_first_part_of_the_steps() -> None:
    train = TrainConfig(steps=10, bag=4, bag_fraction=0.3)
    assert [bag_at(step, train) for step in range(10)] == [4] * 3 + [1] * 7
    assert {bag_at(step, TrainConfig(steps=10, bag=4)) for step in range(10)} == {1}
    assert {bag_at(step, TrainConfig(steps=10, bag_fraction=1.0)) for step in range(10)} == {1}


@pytest.mark.parametrize("byte_mean", [False, True])
def test_a_step_of_the_phase_costs_as_much_less(byte_mean: bool) -> None:
    config = resolve(
        None,
        None,
        ["data.seq_len=96", "data.rows=5", "train.steps=10", "train.bag=4", "train.bag_fraction=0.5"]
        + ["model.byte_mean=true"] * byte_mean,
    )
    embedding = 4 * 256 * config.model.width * byte_mean
    ordinary = 5 * 96 * flops_per_position(config.model, 640, 96)
    assert flops_of_step(config, 640, 5) == flops_of_step(config, 640, 9) == ordinary
    expected = 5 * 96 * embedding + 5 * 24 * (flops_per_position(config.model, 640, 24) - embedding)
    assert flops_of_step(config, 640, 0) == flops_of_step(config, 640, 4) == expected


def test_what_the_phase_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.bag must divide data\.seq_len=1024, got 5"):
        resolve(None, None, ["train.bag=5"])
    with pytest.raises(ConfigError, match="predicts bags with one head"):
        resolve(None, None, ["train.bag=4", "model.raw_heads=3"])
    with pytest.raises(ConfigError, match=r"and model\.unit_heads=0"):
        resolve(None, None, ["train.bag=4", "model.unit_heads=1"])
    with pytest.raises(ConfigError, match=r"train\.bag_fraction must be 0 … 1"):
        resolve(None, None, ["train.bag_fraction=1.5"])
    with pytest.raises(ConfigError, match=r"train\.bag must be at least 1"):
        resolve(None, None, ["train.bag=0"])
    assert resolve(None, None, []) == RunConfig()
