"""Sums of the loss, and bits under the two distributions, against sums taken one by one."""

from __future__ import annotations

import math

import torch

from pctrain.data.batch import IGNORE
from pctrain.model.loss import loss_sums, symbol_bits


def test_sums_are_those_of_each_position() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 400, generator=generator)
    targets = torch.tensor([[70, 71, IGNORE, 330, 4, 99], [IGNORE, 64, 65, 390, 391, IGNORE]])
    views = torch.tensor([[0, 0, -1, 1, 0, 2], [-1, 2, 2, 1, 1, -1]], dtype=torch.int8)
    sums = loss_sums(logits, targets, views, n_views=2)
    expected = [0.0, 0.0, 0.0]
    counts = [0, 0, 0]
    for row in range(2):
        for position in range(6):
            if (target := int(targets[row, position])) != IGNORE:
                view = int(views[row, position])
                expected[view] -= float(logits[row, position].double().log_softmax(0)[target])
                counts[view] += 1
    assert counts == sums.targets_W.tolist()
    assert torch.allclose(sums.nats_W.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5)
    assert math.isclose(sums.nats.item(), sum(expected), rel_tol=1e-5)


def test_a_batch_without_targets_sums_to_nothing() -> None:
    logits = torch.zeros(1, 3, 10, requires_grad=True)
    sums = loss_sums(logits, torch.full((1, 3), IGNORE), torch.full((1, 3), -1), n_views=1)
    assert sums.nats.item() == 0
    assert sums.targets_W.tolist() == [0, 0]


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
