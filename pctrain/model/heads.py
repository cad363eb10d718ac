"""Heads that predict symbols beyond the next one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Ahead(nn.Module):
    """Hidden states for the next symbol → hidden states for one further ahead.

    A residual block that starts as the identity, as in Medusa (Cai et al. 2024, section 2.1.1); the output matrix after
    it is the first head's, as in Gloeckle et al. 2024, *Better & Faster LLMs via Multi-token Prediction*.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.turn = nn.Linear(width, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        further: Tensor = hidden + F.silu(self.turn(hidden))
        return further
