"""What a training method may add to a model and its loss: the seams between ``loss`` and the files of ``methods``.

Legend: R rows, T positions, C = T + 1 symbols of a row, N = R·T flattened positions, S symbols of a target, D width, V
ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from pctrain.config import RunConfig


class Rows(NamedTuple):
    """The arrays of a ``Batch``, or of some of its rows, as tensors."""

    inputs_RT: Tensor
    targets_RT: Tensor
    positions_RT: Tensor
    samples_RT: Tensor
    target_views_RT: Tensor
    extras: Mapping[str, Tensor]
    """By the names of ``data.batch.NO_EXTRAS``."""


class Prediction(NamedTuple):
    """Hidden states, and what an output matrix is to predict from them."""

    hidden_ND: Tensor
    weight_VD: Tensor
    targets_NS: Tensor
    """Ids; any id where the weight is 0."""
    weights_NS: Tensor
    """Of each target in the loss of its position."""
    views_N: Tensor
    """The view of a position's targets; NO_VIEW without any."""
    at_N: Tensor
    """The flattened positions: not all of them, if a method has chosen some."""


def notes(methods: nn.ModuleDict, step: int, steps: int) -> list[str]:
    """What a measurement of the weights after ``step`` of ``steps`` steps must say; ``methods`` are a decoder's."""
    each = cast("Iterable[Method]", methods.values())
    return [note for method in each if (note := method.note(step, steps))]


class Method(nn.Module):
    """A method without effect. Methods override what they change.

    Its parameters are trained and are in checkpoints, but not in exports: the trained model is a plain decoder.
    """

    needs_states = False
    """Whether ``loss`` is given the states after each layer."""

    @classmethod
    def of(cls, config: RunConfig) -> Self | None:
        """The method as the settings ask for it; None if they do not. Raises ``ConfigError`` for what excludes it."""
        raise NotImplementedError

    @classmethod
    def units(cls, config: RunConfig) -> str:
        """The view whose units it needs numbered in a batch (``batch.UNITS``), if it is used; empty for none."""
        return ""

    @classmethod
    def needs_suffixes(cls, config: RunConfig) -> bool:
        """Whether, if it is used, a batch must have the symbols of these units too (``batch.SUFFIXES``)."""
        return False

    @classmethod
    def further_outputs(cls, config: RunConfig, symbols_by_view: Mapping[str, int], compressed_bytes: int) -> int:
        """How often the output matrices were applied beyond once per position, in steps that showed so many symbols of
        each view, ``compressed_bytes`` of raw bytes in those that are not raw."""
        return 0

    def init_weights(self, generator: torch.Generator) -> None:
        """Set the initial weights, drawn on the CPU."""

    def begin(self, step: int, steps: int) -> None:
        """Optimizer step ``step`` (from 0) of ``steps`` follows."""

    def note(self, step: int, steps: int) -> str:
        """What a measurement of the weights after ``step`` of ``steps`` steps must say; empty: nothing."""
        return ""

    def embed(self, x_RTD: Tensor, rows: Rows, embed: nn.Embedding) -> Tensor:
        """The input of the first layer; ``x_RTD`` is what it would be without this method."""
        return x_RTD

    def positions(self, positions_RT: Tensor, rows: Rows) -> Tensor:
        """The positions that attention measures distances by."""
        return positions_RT

    def predict(self, prediction: Prediction, rows: Rows, ahead: int) -> Sequence[Prediction]:
        """What is predicted instead; ``ahead`` is the number of symbols after the next one."""
        return [prediction]

    def weigh(self, shares_N: Tensor, rows: Rows, ahead: int) -> Tensor:
        """What each flattened position counts in the loss of the head that looks ``ahead`` of the next symbol;
        ``shares_N`` is what it would count. The log counts all nats once."""
        return shares_N

    def loss(self, states_RTD: Sequence[Tensor], rows: Rows) -> Tensor | None:
        """A term of the loss of these rows, in nats, summed over positions: the caller divides it by the number of
        targets. ``states_RTD``: the input of the first layer, then the output of each."""
        return None
