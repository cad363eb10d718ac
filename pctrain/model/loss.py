"""Logits → loss, and logits → bits.

Training wants a sum of nats over all targets, and beside it, for the log, the same per view; the logits are computed
once for both. Scoring wants bits under two distributions: the one restricted to the ids that the symbols can have, as
law 8 asks, and the full softmax. Only sums leave this file; whoever has all of them divides.

Legend: R rows, T positions, N = R·T positions in a line, W the raw bytes and the used views, V ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pctrain.data.batch import IGNORE


@dataclass(frozen=True)
class LossSums:
    """Sums over the targets of some rows."""

    nats: Tensor
    """Scalar, float32; the one that has a gradient."""
    nats_W: Tensor
    """Per view, raw bytes first."""
    targets_W: Tensor
    """How many targets each view has."""


def loss_sums(logits_RTV: Tensor, targets_RT: Tensor, target_views_RT: Tensor, n_views: int) -> LossSums:
    """Cross entropy in float32, summed. ``target_views_RT`` is 0 … n_views, or -1 where there is no target."""
    nats_N = F.cross_entropy(
        logits_RTV.flatten(0, 1).float(), targets_RT.flatten(), ignore_index=IGNORE, reduction="none"
    )
    views_W = torch.arange(n_views + 1, device=nats_N.device)
    belongs_NW = (target_views_RT.flatten()[:, None] == views_W).to(nats_N.dtype)
    return LossSums(nats_N.sum(), nats_N.detach() @ belongs_NW, belongs_NW.sum(0))


def symbol_bits(logits_NV: Tensor, targets_N: Tensor, first_id: int, end_id: int) -> tuple[Tensor, Tensor]:
    """Bits of each target: [N] with the softmax over ids ``first_id … end_id - 1`` alone, and [N] over all ids.

    The restricted one is float64, so that equal logits over 256 ids give 8 bits to the last digit.
    """
    own_NV = logits_NV[:, first_id:end_id].double()
    target_N = own_NV.gather(1, (targets_N - first_id)[:, None])[:, 0]
    own_bits_N = (own_NV.logsumexp(1) - target_N) / math.log(2)
    all_bits_N = (logits_NV.float().logsumexp(1).double() - target_N) / math.log(2)
    return own_bits_N, all_bits_N
