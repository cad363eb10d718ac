"""A first phase in which a model reads and predicts bags of symbols, several at once: a rival that needs no compressor.

After Peng et al. 2026, *Efficient Pre-Training with Token Superposition* (arXiv 2605.06546). Theirs are the two
phases; the input, the mean of the embeddings of n consecutive symbols; and the target, the n symbols of the next bag,
by the mean of their cross entropies under one softmax. Nothing of the model changes, and the second phase is ordinary
training.

Ours is what a row of several samples asks for (law 7), where they fill rows with text. A bag belongs to the sample of
its last symbol: symbols of an earlier sample are left out of its mean, what lies in another sample is no target, and it
attends to bags of its sample, in which its position is counted from 0. So a sample that ends before the bag that it
begins in is not read. Also ours: a step reads the rows that it would read anyway, and costs about 1/n of an ordinary
one; they give it n times as many symbols at an equal cost.

Legend: R rows, T positions, B = T / N bags of N symbols, W views.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pctrain.config import TrainConfig
from pctrain.data.batch import IGNORE, NO_VIEW


class Bags(NamedTuple):
    """Rows of a batch in bags."""

    inputs_RBN: Tensor
    weights_RBN: Tensor
    """Of each symbol in the mean of its bag; they sum to 1."""
    positions_RB: Tensor
    samples_RB: Tensor
    targets_RBN: Tensor
    views_RBN: Tensor


def bag_at(step: int, train: TrainConfig) -> int:
    """Symbols in a bag at an optimizer step; 1 is ordinary training."""
    return train.bag if step < round(train.bag_fraction * train.steps) else 1


def in_bags(
    n: int, inputs_RT: Tensor, targets_RT: Tensor, positions_RT: Tensor, samples_RT: Tensor, views_RT: Tensor
) -> Bags:
    """The arrays of a ``Batch`` in bags of ``n`` symbols, which divides their length."""
    samples_RB = samples_RT[:, n - 1 :: n]
    shape = len(inputs_RT), inputs_RT.shape[1] // n, n
    own_RBN = samples_RT.view(shape) == samples_RB[..., None]
    return Bags(
        inputs_RT.view(shape),
        own_RBN / own_RBN.sum(-1, keepdim=True),
        positions_RT[:, n - 1 :: n] // n,
        samples_RB,
        of_next_bag(targets_RT, samples_RT, n, IGNORE),
        of_next_bag(views_RT, samples_RT, n, NO_VIEW),
    )


def of_next_bag(targets_RT: Tensor, samples_RT: Tensor, n: int, nothing: int) -> Tensor:
    """What is said of targets, of the next n of each bag's last symbol: [R, B, N]; ``nothing`` in another sample."""
    shape = len(targets_RT), targets_RT.shape[1] // n, n
    targets_RBN, samples_RBN = (
        F.pad(array, (0, n - 1), value=beyond)[:, n - 1 :].reshape(shape)
        for array, beyond in ((targets_RT, nothing), (samples_RT, 0))
    )
    return torch.where(samples_RBN == samples_RT[:, n - 1 :: n, None], targets_RBN, nothing)


def n_predicting(targets_RT: Tensor, samples_RT: Tensor, n: int) -> int:
    """How many bags have a target at all."""
    return int((of_next_bag(targets_RT, samples_RT, n, IGNORE) != IGNORE).any(-1).sum())
