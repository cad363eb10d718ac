"""Hidden states → loss, and logits → bits.

A position's loss is the mean over its heads whose target lies in the same sample; the loss of a batch is the mean over
the positions that have a next symbol. Training needs the sum over positions and, for the log, the first head's nats per
view. Scoring needs bits under two distributions: the one restricted to the ids that the symbols can have (law 8), and
the full softmax. This file returns sums only; the caller that has all of them divides.

Legend: R rows, T positions, N = R·T flattened positions, K heads, S targets of a position, W raw bytes and used views,
V ids, D width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import torch
from torch import Tensor, nn

from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES
from pctrain.data.batch import IGNORE, NO_VIEW
from pctrain.model.cross_entropy import linear_cross_entropy
from pctrain.model.decoder import Inputs, LanguageModel
from pctrain.model.method import Method, Prediction, Rows


@dataclass(frozen=True)
class LossSums:
    """Sums over the targets of some rows."""

    nats: Tensor
    """Scalar, float32, with a gradient: for each position the mean over its heads."""
    nats_W: Tensor
    """The first head's, per view, raw bytes first."""
    targets_W: Tensor
    """How many targets the first head has in each view."""


class Objective(nn.Module):
    """A model and its training loss in one forward pass, so that the logits never leave it."""

    def __init__(self, decoder: LanguageModel, views: Sequence[tuple[int, int]], softmax: str = "all") -> None:
        """``views`` are the first id and the exclusive end of each used view, without raw bytes."""
        super().__init__()
        self.decoder = decoder
        self._ranges_W = [(FIRST_BYTE, FIRST_BYTE + N_BYTES), *views]
        self._own_only = softmax == "own"

    @property
    def methods(self) -> list[Method]:
        return cast("list[Method]", [*self.decoder.methods.values()])

    @property
    def _with_losses(self) -> list[LanguageModel | Method]:
        """What may add terms to the loss."""
        return [self.decoder, *self.methods]

    def forward(
        self,
        inputs_RT: Tensor,
        targets_RT: Tensor,
        positions_RT: Tensor,
        samples_RT: Tensor,
        target_views_RT: Tensor,
        extras: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> LossSums:
        """The arrays of a ``Batch``, or of some of its rows."""
        rows = Rows(inputs_RT, targets_RT, positions_RT, samples_RT, target_views_RT, extras)
        states: list[Tensor] | None = [] if any(one.needs_states for one in self._with_losses) else None
        hidden_ND = self._hidden(rows, states).flatten(0, 1)
        targets_KN, views_KN = self._targets(targets_RT, samples_RT, target_views_RT)
        has_KN = targets_KN != IGNORE
        shares_KN = self._shares(rows, has_KN / has_KN.sum(0).clamp(min=1))
        nats, first_nats_N = self._nats(self._prediction(rows, hidden_ND, targets_KN, views_KN, 0), shares_KN[0])
        for k, ahead in enumerate(self.decoder.ahead, 1):
            further = self._prediction(rows, ahead(hidden_ND), targets_KN, views_KN, k)
            nats = nats + self._nats(further, shares_KN[k])[0]
        for one in self._with_losses:
            if (term := one.loss(states or (), rows)) is not None:
                nats = nats + term
        belongs_NW = views_KN[0][:, None] == torch.arange(len(self._ranges_W), device=nats.device)
        belongs_NW = belongs_NW.to(first_nats_N.dtype)
        return LossSums(nats, first_nats_N @ belongs_NW, belongs_NW.sum(0))

    def _hidden(self, rows: Rows, states: list[Tensor] | None) -> Tensor:
        x_RTD, positions_RT = self.decoder.embed(rows.inputs_RT), rows.positions_RT
        for method in self.methods:
            x_RTD = method.embed(x_RTD, rows, self.decoder.embed)
            positions_RT = method.positions(positions_RT, rows)
        inputs = Inputs(rows.inputs_RT, positions_RT, rows.samples_RT, rows.extras)
        return self.decoder.run(x_RTD, inputs, states=states)

    def _targets(self, targets_RT: Tensor, samples_RT: Tensor, views_RT: Tensor) -> tuple[Tensor, Tensor]:
        """Each head's target and its view; IGNORE and NO_VIEW where it has none. [K, N]"""
        config = self.decoder.config
        all_targets, all_views = [targets_RT], [views_RT]
        for k in range(1, 1 + len(self.decoder.ahead)):
            targets_k, views_k = torch.full_like(targets_RT, IGNORE), torch.full_like(views_RT, NO_VIEW)
            within = samples_RT[:, k:] == samples_RT[:, :-k]
            if k >= config.predict_heads:
                within = within & (views_RT[:, k:] == 0)
            targets_k[:, :-k] = torch.where(within, targets_RT[:, k:], IGNORE)
            views_k[:, :-k] = torch.where(within, views_RT[:, k:], NO_VIEW)
            all_targets.append(targets_k)
            all_views.append(views_k)
        return torch.stack(all_targets).flatten(1), torch.stack(all_views).flatten(1)

    def _shares(self, rows: Rows, shares_KN: Tensor) -> list[Tensor]:
        """What each position counts in the loss of each head, after all methods had their say."""
        shares = [*shares_KN]
        for method in self.methods:
            shares = [method.weigh(shares_N, rows, ahead) for ahead, shares_N in enumerate(shares)]
        return shares

    def _prediction(
        self, rows: Rows, hidden_ND: Tensor, targets_KN: Tensor, views_KN: Tensor, ahead: int
    ) -> list[Prediction]:
        """What the head predicts that looks ``ahead`` of the next symbol, after all methods had their say."""
        targets_N1 = targets_KN[ahead, :, None]
        weights_N1 = (targets_N1 != IGNORE).to(torch.promote_types(hidden_ND.dtype, torch.float32))
        at_N = torch.arange(len(hidden_ND), device=hidden_ND.device)
        weight_VD = self.decoder.output_weight(ahead)
        predictions = [Prediction(hidden_ND, weight_VD, targets_N1.clamp(min=0), weights_N1, views_KN[ahead], at_N)]
        for method in self.methods:
            predictions = [part for one in predictions for part in method.predict(one, rows, ahead)]
        return predictions

    def _nats(self, predictions: Sequence[Prediction], shares_N: Tensor) -> tuple[Tensor, Tensor]:
        """The sum over positions, each with its share, which has a gradient; and the nats of each position (0 without
        a target)."""
        total, nats_N = torch.zeros((), device=shares_N.device), torch.zeros_like(shares_N)
        for one in predictions:
            weights_NS = one.weights_NS * shares_N[one.at_N, None]
            part, nats_NS = self._cross_entropy(one, weights_NS)
            total = total + part
            nats_N = nats_N.index_add(0, one.at_N, (nats_NS * one.weights_NS).sum(1).to(nats_N.dtype))
        return total, nats_N

    def _cross_entropy(self, one: Prediction, weights_NS: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum, and the nats of each target. [N, S]"""
        if not self._own_only:
            return linear_cross_entropy(one.hidden_ND, one.weight_VD, one.targets_NS, weights_NS)
        total, nats_NS = one.hidden_ND.sum() * 0, torch.zeros_like(weights_NS)
        for view, (first_id, end_id) in enumerate(self._ranges_W):
            here = torch.nonzero(one.views_N == view)[:, 0]
            own_VD = torch.cat([one.weight_VD[:FIRST_BYTE], one.weight_VD[first_id:end_id]])
            targets_NS = one.targets_NS[here]
            own_NS = torch.where(targets_NS < FIRST_BYTE, targets_NS, targets_NS - first_id + FIRST_BYTE)
            part, nats_NS[here] = linear_cross_entropy(one.hidden_ND[here], own_VD, own_NS, weights_NS[here])
            total = total + part
        return total, nats_NS


def symbol_bits(logits_NV: Tensor, targets_N: Tensor, first_id: int, end_id: int) -> tuple[Tensor, Tensor]:
    """Bits of each target: [N] with the softmax over ids ``first_id … end_id - 1`` alone, and [N] over all ids.

    The restricted ones are float64, so that equal logits over 256 ids give exactly 8 bits.
    """
    own_NV = logits_NV[:, first_id:end_id].double()
    target_N = own_NV.gather(1, (targets_N - first_id)[:, None])[:, 0]
    own_bits_N = (own_NV.logsumexp(1) - target_N) / math.log(2)
    all_bits_N = (logits_NV.float().logsumexp(1).double() - target_N) / math.log(2)
    return own_bits_N, all_bits_N
