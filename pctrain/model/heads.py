"""What a decoder predicts beside the next symbol: symbols further ahead, and the raw bytes of a compressed one.

Legend: N positions, K heads, D width, V ids.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcdata.dataset.vocab import RAW_IDS
from pctrain.data.batch import IGNORE
from pctrain.model.cross_entropy import linear_cross_entropy


class Ahead(nn.Module):
    """Hidden states for the next symbol → hidden states for one further ahead.

    A residual block that begins as nothing at all, as in Medusa (Cai et al. 2024, section 2.1.1); the output matrix
    behind it is the first head's, as in Gloeckle et al. 2024, *Better & Faster LLMs via Multi-token Prediction*.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.turn = nn.Linear(width, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        further: Tensor = hidden + F.silu(self.turn(hidden))
        return further


class UnitHeads(nn.Module):
    """Where the next symbol is a compressed one, K heads predict the first K bytes that it stands for.

    Each is a block as above, and behind it the first head's output rows of the raw ids: what compressed positions teach
    is what raw positions use. Bytes are known of ids that stand for the same ones wherever they occur; of others, and
    beyond the end of a short one, there is no target. What is known is no weight, but goes into checkpoints.
    """

    spelling_VK: Tensor
    """Raw ids, int16; IGNORE where there is none."""

    def __init__(self, n_heads: int, n_ids: int, width: int) -> None:
        super().__init__()
        self.turns = nn.ModuleList(Ahead(width) for _ in range(n_heads))
        self.register_buffer("spelling_VK", torch.full((n_ids, n_heads), IGNORE, dtype=torch.int16))

    def forward(self, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        """The sum over positions of the mean of the heads' nats, over heads that have a target.

        ``hidden_ND`` and ``weight_VD`` are those of the first head, ``targets_N`` its targets. Positions without bytes
        go through all of it too, at weight 0: what a step costs does not depend on what it is shown.
        """
        targets_KN = self.spelling_VK[targets_N.clamp(min=0)].long().T
        targets_KN = targets_KN.masked_fill(targets_N == IGNORE, IGNORE)
        has_KN = targets_KN != IGNORE
        weights_KN = has_KN / has_KN.sum(0).clamp(min=1)
        nats = hidden_ND.new_zeros((), dtype=torch.promote_types(hidden_ND.dtype, torch.float32))
        for turn, targets, weights in zip(self.turns, targets_KN.clamp(min=0), weights_KN, strict=True):
            nats = nats + linear_cross_entropy(turn(hidden_ND), weight_VD[:RAW_IDS], targets, weights)[0]
        return nats
