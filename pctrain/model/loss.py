"""Hidden states → loss, and logits → bits.

A position's loss is the mean over its heads whose target lies in the same sample; the loss of a batch is the mean over
the positions that have a next symbol. Training needs the sum over positions and, for the log, the first head's nats per
view. Scoring needs bits under two distributions: the one restricted to the ids that the symbols can have (law 8), and
the full softmax. This file returns sums only; the caller that has all of them divides.

Legend: R rows, T positions, N = R·T flattened positions, K heads, W raw bytes and used views, V ids, D width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES
from pctrain.data.batch import IGNORE, NO_VIEW
from pctrain.model.cross_entropy import linear_cross_entropy
from pctrain.model.decoder import Decoder


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
    """A decoder and its training loss in one forward pass, so that the logits never leave it."""

    def __init__(self, decoder: Decoder, views: Sequence[tuple[int, int]], softmax: str = "all") -> None:
        """``views`` are the first id and the exclusive end of each used view, without raw bytes."""
        super().__init__()
        self.decoder = decoder
        self._ranges_W = [(FIRST_BYTE, FIRST_BYTE + N_BYTES), *views]
        self._own_only = softmax == "own"

    def forward(
        self, inputs_RT: Tensor, targets_RT: Tensor, positions_RT: Tensor, samples_RT: Tensor, target_views_RT: Tensor
    ) -> LossSums:
        """The arrays of a ``Batch``, or of some of its rows."""
        hidden_ND = self.decoder.hidden(inputs_RT, positions_RT, samples_RT).flatten(0, 1)
        targets_KN, views_KN = self._targets(targets_RT, samples_RT, target_views_RT)
        has_KN = targets_KN != IGNORE
        weights_KN = has_KN / has_KN.sum(0).clamp(min=1)
        nats, first_nats_N = self._nats(hidden_ND, self.decoder.head.weight, targets_KN[0], views_KN[0], weights_KN[0])
        for k, ahead in enumerate(self.decoder.ahead, 1):
            weight_VD = self.decoder.output_weight(k)
            nats = nats + self._nats(ahead(hidden_ND), weight_VD, targets_KN[k], views_KN[k], weights_KN[k])[0]
        belongs_NW = views_KN[0][:, None] == torch.arange(len(self._ranges_W), device=nats.device)
        belongs_NW = belongs_NW.to(first_nats_N.dtype)
        return LossSums(nats, first_nats_N @ belongs_NW, belongs_NW.sum(0))

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

    def _nats(
        self, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, views_N: Tensor, weights_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The weighted sum, which has a gradient, and the nats of each position (0 without a target)."""
        if not self._own_only:
            total, nats_N = linear_cross_entropy(hidden_ND, weight_VD, targets_N.clamp(min=0), weights_N)
            return total, nats_N * (weights_N > 0)
        total, nats_N = (
            hidden_ND.sum() * 0,
            torch.zeros_like(weights_N, dtype=torch.promote_types(hidden_ND.dtype, torch.float32)),
        )
        for view, (first_id, end_id) in enumerate(self._ranges_W):
            here = torch.nonzero((views_N == view) & (targets_N != IGNORE))[:, 0]
            own_VD = torch.cat([weight_VD[:FIRST_BYTE], weight_VD[first_id:end_id]])
            targets = targets_N[here]
            own_targets = torch.where(targets < FIRST_BYTE, targets, targets - first_id + FIRST_BYTE)
            part, nats_N[here] = linear_cross_entropy(hidden_ND[here], own_VD, own_targets, weights_N[here])
            total = total + part
        return total, nats_N


def symbol_bits(logits_NV: Tensor, targets_N: Tensor, first_id: int, end_id: int) -> tuple[Tensor, Tensor]:
    """Bits of each target: [N] with the softmax over ids ``first_id … end_id - 1`` alone, and [N] over all ids.

    The restricted ones are float64, so that equal logits over 256 ids give exactly 8 bits.
    """
    own_NV = logits_NV[:, first_id:end_id].double()
    target_N = own_NV.gather(1, (targets_N - first_id)[:, None])[:, 0]
    own_bits_N = (own_NV.logsumexp(1) - target_N) / math.log(2)
    all_bits_N = (logits_NV.float().logsumexp(1).double() - target_N) / math.log(2)
    return own_bits_N, all_bits_N
