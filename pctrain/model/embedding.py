"""The embedding of a compressed symbol as the mean of its bytes' embeddings, and what is learnt on top.

A model that reads mostly compressed symbols learns what a byte is from a tenth of its positions. Here every symbol is
first of all its bytes, so that what it teaches reaches their embeddings, and a symbol that was hardly ever seen begins
as something sensible. The order of the bytes is lost in the mean; the residual, a row per id that starts at zero, is
there to tell apart what has the same bytes. (Mean-pooled parts of a word are as old as fastText: Bojanowski et al.
2017. That the residual starts at zero, and that the bytes are those of the raw sequences, is ours.)

Legend: V ids, B the 256 bytes, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES, RAW_IDS


class BytesEmbedding(nn.Embedding):
    """``weight`` has the embeddings of the raw ids, as any embedding, and the residuals of the others.

    An id of which nothing is known (a mark, one that was not seen when bytes were counted) has a row as usual, and no
    mean. The shares are no weights, but go into checkpoints: a model is read back without its dataset.
    """

    shares_VB: Tensor
    """Of the bytes that an id stands for, the share of each value. Rows of raw ids are 0."""

    def __init__(self, n_ids: int, width: int) -> None:
        super().__init__(n_ids, width)
        self.register_buffer("shares_VB", torch.zeros(n_ids, N_BYTES))

    @torch.no_grad()
    def stand_for(self, shares_VB: Tensor) -> None:
        """Say what ids stand for; those of which something is known begin as no more than that."""
        self.shares_VB.copy_(shares_VB)
        self.weight[self.shares_VB.any(1)] = 0.0

    def forward(self, ids: Tensor) -> Tensor:
        """[…] → […, D]."""
        residual: Tensor = super().forward(ids)
        return residual + self.shares_VB[ids] @ self.weight[FIRST_BYTE:RAW_IDS]
