"""Superposition: a position's input is the mean of the embeddings in its bag, and its target is the next bag.

As in *Efficient Pre-Training with Token Superposition* (arXiv 2605.06546), the mean is taken in float32, and the loss
is the mean of the cross-entropies of the next bag's symbols, under the one output matrix. ``data.bags`` makes the bags.

The mean of ``def`` is that of ``fed``. With gains, each place in a bag has a factor for each component of the width, on
the embedding, or on the hidden state that predicts this place too.

Legend: R rows, T positions, C = T + 1 symbols of a row, N = R·T, S symbols of a bag, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from pcdata.dataset.vocab import PAD
from pctrain.config import RunConfig, SuperpositionConfig
from pctrain.data.batch import BAGS
from pctrain.model.method import Method, Prediction, Rows


class Superposition(Method):
    def __init__(self, config: SuperpositionConfig, width: int) -> None:
        super().__init__()
        shape = (config.bag, width)
        self.gain_in = nn.Parameter(torch.empty(shape)) if config.order in ("in", "both") else None
        self.gain_out = nn.Parameter(torch.empty(shape)) if config.order == "both" else None
        self._power = 1.0 if config.weights == "power" else 0.0

    @classmethod
    def of(cls, config: RunConfig) -> Self | None:
        return cls(config.superposition, config.model.width) if config.superposition.bag else None

    @classmethod
    def further_outputs(cls, config: RunConfig, symbols_by_view: Mapping[str, int], compressed_bytes: int) -> int:
        """With gains on the way out, one per symbol of a bag. Where the symbols of another view share a line of the log
        with bags, their bytes are counted too."""
        kind = config.superposition
        bags = symbols_by_view.get(kind.name, 0) if kind.order == "both" else 0
        most = kind.bag * bags
        return (min(compressed_bytes, most) if kind.units else most) - bags

    def init_weights(self, generator: torch.Generator) -> None:
        """All places alike: plain superposition."""
        with torch.no_grad():
            for gain in self.parameters():
                gain.fill_(1.0)

    def embed(self, x_RTD: Tensor, rows: Rows, embed: nn.Embedding) -> Tensor:
        bags_RCS = rows.extras.get(BAGS)
        if bags_RCS is None:
            return self._unused(x_RTD)
        bags_RTS = bags_RCS[:, :-1]
        sum_RTD = torch.zeros_like(x_RTD)
        for place, ids_RT in enumerate(bags_RTS.unbind(-1)):
            e_RTD = embed(ids_RT.long()) * (ids_RT != PAD)[..., None]
            sum_RTD = sum_RTD + (e_RTD if self.gain_in is None else e_RTD * self.gain_in[place])
        sizes_RT1 = (bags_RTS != PAD).sum(-1, keepdim=True)
        return torch.where(sizes_RT1 > 0, sum_RTD / sizes_RT1.clamp(min=1), x_RTD)

    def _unused(self, x_RTD: Tensor) -> Tensor:
        """The same, but gains get a gradient (of 0), which processes that share them must all have."""
        return x_RTD + sum((gain.sum() * 0 for gain in self.parameters()), x_RTD.new_zeros(()))

    def predict(self, prediction: Prediction, rows: Rows, ahead: int) -> Sequence[Prediction]:
        if BAGS not in rows.extras:
            return [prediction]
        bags_RTS = rows.extras[BAGS][:, 1 + ahead :]
        missing = rows.inputs_RT.shape[1] - bags_RTS.shape[1]
        bags_NS = nn.functional.pad(bags_RTS, (0, 0, 0, missing), value=PAD).flatten(0, 1)
        in_bag_NS = (bags_NS != PAD) & (prediction.weights_NS > 0)  # a matrix over raw ids may lack the others
        weights_S = torch.arange(1, bags_NS.shape[1] + 1, device=bags_NS.device) ** -self._power
        weights_NS = in_bag_NS * weights_S
        weights_NS = weights_NS / weights_NS.sum(1, keepdim=True).clamp(min=1e-30) * prediction.weights_NS
        has_bag_N1 = in_bag_NS[:, :1]
        alone_NS = torch.zeros_like(weights_NS)
        alone_NS[:, :1] = prediction.weights_NS
        targets_NS = torch.where(has_bag_N1, bags_NS.long(), prediction.targets_NS)
        whole = prediction._replace(targets_NS=targets_NS, weights_NS=torch.where(has_bag_N1, weights_NS, alone_NS))
        return [whole] if self.gain_out is None else self._by_place(whole, has_bag_N1)

    def _by_place(self, whole: Prediction, has_bag_N1: Tensor) -> list[Prediction]:
        """Each place of a bag from a hidden state of its own. A symbol that is in no bag is predicted as ever."""
        assert self.gain_out is not None
        parts = []
        for place, gain_D in enumerate(self.gain_out):
            here = torch.nonzero(whole.weights_NS[:, place])[:, 0]
            hidden_MD = whole.hidden_ND[here]
            hidden_MD = torch.where(has_bag_N1[here], hidden_MD * gain_D, hidden_MD)
            of_place = slice(place, place + 1)
            parts.append(
                Prediction(
                    hidden_MD,
                    whole.weight_VD,
                    whole.targets_NS[here, of_place],
                    whole.weights_NS[here, of_place],
                    whole.views_N[here],
                    whole.at_N[here],
                )
            )
        return parts
