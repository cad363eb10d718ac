"""The loss and bits under the two distributions, against their definitions taken one by one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pctrain.config import ModelConfig
from pctrain.data.batch import IGNORE
from pctrain.model import cross_entropy
from pctrain.model.cross_entropy import linear_cross_entropy
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.loss import Objective, symbol_bits

# R rows, T positions, K heads, D width, V ids


@dataclass(frozen=True)
class Made:
    """Rows as the loader makes them: samples end to end, no target at a sample's end, padding last."""

    inputs_RT: Tensor
    targets_RT: Tensor
    positions_RT: Tensor
    samples_RT: Tensor
    views_RT: Tensor

    def rows(self, rows: slice) -> tuple[Tensor, ...]:
        arrays = (self.inputs_RT, self.targets_RT, self.positions_RT, self.samples_RT, self.views_RT)
        return tuple(array[rows] for array in arrays)


VIEWS = [(320, 400), (400, 416)]


@st.composite
def batches(draw: st.DrawFn) -> Made:
    """Samples of one view each, or of two, one after the other."""
    seq_len, lines = draw(st.integers(6, 14)), []
    for _ in range(draw(st.integers(1, 3))):
        ids, views, samples = [], [], []
        for number in range(1, draw(st.integers(1, 4)) + 1):
            for view in draw(st.lists(st.integers(0, 2), min_size=1, max_size=2)):
                first, end = [(64, 320), *VIEWS][view]
                symbols = draw(st.lists(st.integers(first, end - 1), min_size=1, max_size=5))
                span = [3 + 2 * view, *symbols, 4 + 2 * view]
                ids += span
                views += [view] * len(span)
                samples += [number] * len(span)
        pad = max(0, seq_len + 1 - len(ids))
        ids, views, samples = ids + [0] * pad, views + [-1] * pad, samples + [0] * pad
        same = [a == b != 0 for a, b in pairwise(samples)][:seq_len]
        lines.append(
            (
                ids[:seq_len],
                [target if inside else IGNORE for target, inside in zip(ids[1:], same, strict=False)],
                [samples[: t + 1].count(samples[t]) - 1 for t in range(seq_len)],
                samples[:seq_len],
                [view if inside else -1 for view, inside in zip(views[1:], same, strict=False)],
            )
        )
    return Made(*(torch.tensor(column) for column in zip(*lines, strict=True)))


def slow_loss(model: Decoder, made: Made, softmax: str) -> tuple[float, list[float], list[int]]:
    """The definition, position by position: Σ of means over heads; and nats and targets of the first head per view."""
    hidden = model.hidden(made.inputs_RT, made.positions_RT, made.samples_RT)
    ranges = [(64, 320), *VIEWS]
    total, nats_W, targets_W = 0.0, [0.0] * 3, [0] * 3
    for row, position in product(range(made.inputs_RT.shape[0]), range(made.inputs_RT.shape[1])):
        terms = []
        for k in range(1 + len(model.ahead)):
            at = position + k
            inside = at < made.inputs_RT.shape[1] and made.samples_RT[row, at] == made.samples_RT[row, position]
            target = int(made.targets_RT[row, at]) if inside else IGNORE
            view = int(made.views_RT[row, at]) if inside else -1
            full = k < model.config.predict_heads
            if target == IGNORE or not (full or view == 0):
                continue
            state = hidden[row, position] if k == 0 else model.ahead[k - 1](hidden[row, position])
            matrix = model.head.weight if full else model.raw_head.weight
            logits = (matrix.double() @ state.double()).tolist()
            first, end = ranges[view]
            among = [*range(64), *range(first, end)] if softmax == "own" else range(len(logits))
            nats = math.log(sum(math.exp(logits[each]) for each in among)) - logits[target]
            terms.append(nats)
            if k == 0:
                nats_W[view] += nats
                targets_W[view] += 1
        total += sum(terms) / len(terms) if terms else 0.0
    return total, nats_W, targets_W


def made_model(heads: int, raw_heads: int, n_ids: int = 448) -> Decoder:
    config = ModelConfig(
        width=16, layers=1, attention_heads=2, kv_heads=1, hidden=24, predict_heads=heads, raw_predict_heads=raw_heads
    )
    model = Decoder(config, n_ids)
    init_weights(model, 3)
    with torch.no_grad():
        for ahead in model.ahead:
            ahead.turn.weight.copy_(torch.randn(16, 16, generator=torch.Generator().manual_seed(1)) / 4)
    return model


HEADS = [(1, 0), (3, 0), (1, 4), (2, 3)]


@pytest.mark.parametrize(("heads", "raw_heads"), HEADS)
@pytest.mark.parametrize("softmax", ["all", "own"])
def test_the_loss_is_its_definition(heads: int, raw_heads: int, softmax: str) -> None:
    model, seen = made_model(heads, raw_heads), Counter[str]()
    objective = Objective(model, VIEWS, softmax)

    @given(batches())
    def law(made: Made) -> None:
        sums = objective(*made.rows(slice(None)))
        total, nats_W, targets_W = slow_loss(model, made, softmax)
        assert sums.targets_W.tolist() == targets_W
        assert sums.nats.item() == pytest.approx(total, rel=1e-5, abs=1e-5)
        assert sums.nats_W.tolist() == pytest.approx(nats_W, rel=1e-5, abs=1e-5)
        for view, count in enumerate(targets_W):
            seen[f"view {view}"] += count

    law()
    assert min(seen[f"view {view}"] for view in range(3)) > 0, seen


@pytest.mark.parametrize(("heads", "raw_heads"), HEADS)
@given(made=batches(), rows=st.integers(1, 2))
def test_loss_and_gradients_do_not_depend_on_how_rows_are_split(
    heads: int, raw_heads: int, made: Made, rows: int
) -> None:
    model = made_model(heads, raw_heads).double()
    objective = Objective(model, VIEWS)

    def gradients(step: int) -> tuple[float, list[Tensor]]:
        model.zero_grad(set_to_none=False)
        total = 0.0
        for start in range(0, len(made.inputs_RT), step):
            sums = objective(*made.rows(slice(start, start + step)))
            sums.nats.backward()
            total += sums.nats.item()
        return total, [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    whole, parts = gradients(len(made.inputs_RT)), gradients(rows)
    assert parts[0] == pytest.approx(whole[0], rel=1e-6, abs=1e-6)
    assert len(whole[1]) == len(list(model.parameters()))
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(whole[1], parts[1], strict=True))


def test_recomputing_activations_changes_no_gradient() -> None:
    made = Made(*(torch.tensor([line]) for line in ([3, 70, 71, 4], [70, 71, 4, -100], [0, 1, 2, 3], [1] * 4, [0] * 4)))
    model = made_model(2, 0)
    found = []
    for model.recompute in (False, True):
        model.zero_grad()
        Objective(model, VIEWS)(*made.rows(slice(None))).nats.backward()
        found.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_rows_without_targets_sum_to_nothing() -> None:
    made = Made(*(torch.full((1, 4), value) for value in (0, IGNORE, 0, 0, -1)))
    for softmax in ("all", "own"):
        model = made_model(2, 3)
        sums = Objective(model, VIEWS, softmax)(*made.rows(slice(None)))
        sums.nats.backward()
        assert sums.nats.item() == 0
        assert sums.targets_W.tolist() == [0, 0, 0]
        assert all(not parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("n_ids", [320, 40_000])
def test_cross_entropy_by_pieces_is_that_of_torch(n_ids: int) -> None:
    generator = torch.Generator().manual_seed(n_ids)
    hidden = torch.randn(600, 8, generator=generator, requires_grad=True)
    weight = torch.randn(n_ids, 8, generator=generator, requires_grad=True)
    targets = torch.randint(n_ids, (600,), generator=generator)
    weights = torch.rand(600, generator=generator)
    expected_N = F.cross_entropy(hidden @ weight.T, targets, reduction="none")
    expected = torch.autograd.grad((expected_N * weights).sum() * 3, [hidden, weight])
    total, nats_N = linear_cross_entropy(hidden, weight, targets[:, None], weights[:, None])
    found = torch.autograd.grad(total * 3, [hidden, weight])
    assert not nats_N.requires_grad
    assert torch.allclose(nats_N[:, 0], expected_N, atol=1e-5)
    assert torch.allclose(total, (expected_N * weights).sum(), rtol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(found, expected, strict=True))


def test_the_logits_of_a_large_vocabulary_are_never_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, real = [], F.linear

    def linear(*arguments: Tensor) -> Tensor:
        made = real(*arguments)
        sizes.append(made.numel())
        return made

    monkeypatch.setattr(cross_entropy.F, "linear", linear)
    hidden = torch.randn(4096, 2, requires_grad=True)
    weight = torch.randn(65_536, 2, requires_grad=True)
    total, _ = linear_cross_entropy(hidden, weight, torch.zeros(4096, 1, dtype=torch.long), torch.ones(4096, 1))
    total.backward()
    assert max(sizes) == 256 * 65_536


def test_equal_logits_are_exactly_8_bits_over_256_ids() -> None:
    own, full = symbol_bits(torch.full((5, 512), 0.3), torch.tensor([64, 100, 319, 65, 66]), 64, 320)
    assert own.tolist() == [8.0] * 5
    assert torch.allclose(full, torch.full((5,), 9.0, dtype=torch.float64), atol=1e-6)


def test_the_restricted_softmax_does_not_see_other_ids() -> None:
    logits = torch.randn(4, 400, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([64, 200, 319, 77])
    own, full = symbol_bits(logits, targets, 64, 320)
    expected = -logits[:, 64:320].double().log_softmax(1)[torch.arange(4), targets - 64] / math.log(2)
    assert torch.allclose(own, expected)
    logits[:, 320:] += 5
    own_after, full_after = symbol_bits(logits, targets, 64, 320)
    assert torch.equal(own, own_after)
    assert (full_after > full).all()
