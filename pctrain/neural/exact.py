"""A decoder's arithmetic on a grid: bytes → logits that are the same in any batch, on any machine.

The float32 logits of one context change with the shape of the batch, because a sum of floats depends on its order. Here
no sum is ever rounded. Activations are whole numbers in units of 2^-12 and at most 2^21 of them, weights are multiples
of 2^-12, and both are held in float64, which has room for every partial sum of every product. So the order, and with it
shapes, threads, libraries and devices, does not matter. Between the products there are only operations that IEEE 754
rounds in one way, number by number (+ − × ÷ √, rounding), and two tables.

Legend: T positions of spans laid end to end, B blocks of C positions, K keys that a block can see, P = reach - 1
positions before a block, D width, N query heads, G key/value heads, J = N / G, H width of a head, F inner width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pcdata.codecs.byte_model import REACH_BYTES
from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES, RAW_IDS
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError

UNIT: Final = 2.0**-12
"""What an activation counts, and what weights are multiples of."""
_MOST: Final = 2.0**21
"""Of an activation, in units; what is more is cut off."""
_STEP: Final = 2.0**-10
"""What exponents are multiples of."""
_LAST: Final = 16 << 10
"""From here on, in steps, e^-x is 0."""
_ONE: Final = 2.0**20
"""What a weight of attention, or an odd of a byte, is at the most."""
_LARGEST_SUM: Final = 2.0**20
"""Of a matrix' row, in absolute values: 2^20 · 2^12 · 2^21 is 2^53."""
_MOST_WIDTH: Final = 1 << 11
"""2^11 squares of at most 2^21 each add up to 2^53."""

Past = list[tuple[Tensor, Tensor]]
"""Keys and values of the last P positions, [P, G, H] each, for every layer."""


def check_shape(config: ModelConfig) -> None:
    """Raises ``ConfigError`` unless a model of this shape can be a codec's."""
    if not config.reach or config.layers * (config.reach - 1) >= REACH_BYTES:
        most = 1 + (REACH_BYTES - 1) // config.layers
        raise ConfigError(
            f"model.reach must be 1 … {most} in a codec of {config.layers} layers, so that together they see at most "
            f"{REACH_BYTES} bytes; got {config.reach}"
        )
    if config.heads > 1 or config.raw_heads:
        raise ConfigError("a codec's model has no further heads: leave model.heads at 1, model.raw_heads at 0")
    if config.width > _MOST_WIDTH:
        raise ConfigError(f"model.width must be at most {_MOST_WIDTH} in a codec, got {config.width}")


class _Layer(NamedTuple):
    """Weights on the grid; a norm's are part of the matrices behind it."""

    inward: Tensor
    """Query, key and value, [N·H + 2·G·H, D]; the query's divided by √H."""
    near: Tensor
    """In steps. [N, reach]"""
    output: Tensor
    gate_up: Tensor
    """[2·F, D]"""
    down: Tensor


class Exact:
    """A ``Decoder``'s weights, rounded, and its forward pass over raw bytes."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
        """``weights`` are a ``Decoder``'s by name. Raises ``ConfigError`` if it cannot be exact with them."""
        check_shape(config)
        weights = {name: weight.detach() for name, weight in weights.items()}
        self.config = config
        self._heads = (config.attention_heads, config.kv_heads, config.width // config.attention_heads)
        self._layers = [_layer(config, weights, f"layers.{index}.") for index in range(config.layers)]
        self._embed = (weights["embed.weight"][:RAW_IDS].double() / UNIT).round_()
        head = weights["embed.weight" if config.tie_embeddings else "head.weight"]
        self._head = _on_grid("head", head[FIRST_BYTE : FIRST_BYTE + N_BYTES], weights["norm.weight"])
        self._exponentials, self._silu_gaps = _tables()

    def no_past(self) -> Past:
        _, groups, width = self._heads
        nothing = torch.zeros(self.config.reach - 1, groups, width, dtype=torch.float64)
        return [(nothing, nothing)] * self.config.layers

    def odds(self, inputs_T: Tensor, begins_T: Tensor, past: Past) -> tuple[Tensor, Past]:
        """In proportion to what are the probabilities of the 256 bytes after each position: whole numbers, at most 2^20
        and at least one of them that, [T, 256]; and the past of what comes next.

        ``begins_T`` says where the span of each position begins, counted from the first position here: less than 0 if
        it is in the ``past``.
        """
        n_positions = len(inputs_T)
        block = min(self.config.reach, n_positions)
        missing = -n_positions % block
        if missing:
            inputs_T = F.pad(inputs_T, (0, missing))
            begins_T = torch.cat([begins_T, torch.arange(n_positions, n_positions + missing)])
        hidden_BCK = self._hidden(begins_T.view(-1, block))
        x_TD, after = self._embed[inputs_T], []
        for layer, (keys, values) in zip(self._layers, past, strict=True):
            y_TD, keys, values = self._attention(layer, _normed(x_TD, self.config.norm_eps), keys, values, hidden_BCK)
            kept = slice(n_positions, n_positions + self.config.reach - 1)
            after.append((keys[kept], values[kept]))
            x_TD = x_TD.add_(y_TD).clamp_(-_MOST, _MOST)
            y_TD = self._feed(layer, _normed(x_TD, self.config.norm_eps))
            x_TD = x_TD.add_(y_TD).clamp_(-_MOST, _MOST)
        normed_TD = _normed(x_TD[:n_positions], self.config.norm_eps)
        return self._softmax(F.linear(normed_TD, self._head).mul_(UNIT / _STEP).round_()), after

    def _hidden(self, begins_BC: Tensor) -> Tensor:
        """Whom each position does not see: who is ahead, too far back, or of another span. [B, 1, 1, C, K]"""
        (blocks, block), before = begins_BC.shape, self.config.reach - 1
        distance_CK = _distances(block, before)
        key_BK = torch.arange(blocks)[:, None] * block - before + torch.arange(before + block)
        seen_BCK = (distance_CK >= 0) & (distance_CK <= before) & (key_BK[:, None] >= begins_BC[..., None])
        return ~seen_BCK[:, None, None]

    def _attention(
        self, layer: _Layer, x_TD: Tensor, keys: Tensor, values: Tensor, hidden_BCK: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[T, D], and the keys and values of P + T positions."""
        (heads, groups, width), before = self._heads, self.config.reach - 1
        blocks, _, _, block, _ = hidden_BCK.shape
        inward = _whole(F.linear(x_TD, layer.inward)).view(len(x_TD), -1, width)
        query, key, value = torch.split(inward, [heads, groups, groups], dim=1)
        keys, values = torch.cat([keys, key]), torch.cat([values, value])
        key_BGHK, value_BGHK = (each.unfold(0, before + block, block) for each in (keys, values))
        query_BGLH = (
            query.view(blocks, block, groups, -1, width).permute(0, 2, 3, 1, 4).reshape(blocks, groups, -1, width)
        )
        scores = (query_BGLH @ key_BGHK).mul_(UNIT * UNIT / _STEP).round_()
        scores_BGJCK = scores.view(blocks, groups, -1, block, before + block)
        near_NCK = layer.near[:, _distances(block, before).clamp(0, before)]
        scores_BGJCK += near_NCK.view(groups, -1, block, before + block)
        weights = self._softmax(scores_BGJCK.masked_fill_(hidden_BCK, -math.inf)).view_as(scores)
        y_BGLH = (weights @ value_BGHK.transpose(2, 3)).div_(weights.sum(-1, keepdim=True)).round_()
        y_BCGJH = y_BGLH.view(blocks, groups, -1, block, width).permute(0, 3, 1, 2, 4)
        return _whole(F.linear(y_BCGJH.reshape(len(x_TD), -1), layer.output)), keys, values

    def _feed(self, layer: _Layer, x_TD: Tensor) -> Tensor:
        gate_TF, up_TF = _whole(F.linear(x_TD, layer.gate_up)).chunk(2, dim=1)
        steps_TF = gate_TF.abs().mul_(UNIT / _STEP).round_().clamp_(max=_LAST).int()
        silu_TF = gate_TF.clamp(min=0).sub_(_looked_up(self._silu_gaps, steps_TF))
        return _whole(F.linear(_whole(silu_TF.mul_(up_TF).mul_(UNIT)), layer.down))

    def _softmax(self, steps: Tensor) -> Tensor:
        """e^x, the largest being 1, of exponents in steps; not divided by their sum. The argument is used up."""
        below = steps.sub_(steps.amax(-1, keepdim=True)).neg_().clamp_(max=_LAST)
        return _looked_up(self._exponentials, below.int())


def _normed(x_TD: Tensor, eps: float) -> Tensor:
    """Without the weights of the norm."""
    squares_T1 = x_TD.square().sum(-1, keepdim=True).div_(x_TD.shape[-1]).add_(eps / UNIT**2)
    return x_TD.mul(squares_T1.sqrt_().reciprocal_().div_(UNIT)).round_()


def _whole(sums: Tensor) -> Tensor:
    """What a product or sum leaves, on the grid again."""
    return sums.round_().clamp_(-_MOST, _MOST)


def _looked_up(table: Tensor, places: Tensor) -> Tensor:
    return table.index_select(0, places.view(-1)).view_as(places)


def _distances(block: int, before: int) -> Tensor:
    """From each position of a block back to each key that it could see. [C, K]"""
    return torch.arange(before, before + block)[:, None] - torch.arange(before + block)


def _layer(config: ModelConfig, weights: Mapping[str, Tensor], name: str) -> _Layer:
    of = {key.removeprefix(name): weight for key, weight in weights.items() if key.startswith(name)}
    scale = 1 / math.sqrt(config.width // config.attention_heads)
    inward = [of["attention.query.weight"].double() * scale, of["attention.key.weight"], of["attention.value.weight"]]
    gate_up = [of["feed.gate.weight"], of["feed.up.weight"]]
    return _Layer(
        _on_grid(f"{name}attention", torch.cat([each.double() for each in inward]), of["attention_norm.weight"]),
        (of["attention.near"].double() / _STEP).round_(),
        _on_grid(f"{name}attention.output", of["attention.output.weight"]),
        _on_grid(f"{name}feed", torch.cat(gate_up), of["feed_norm.weight"]),
        _on_grid(f"{name}feed.down", of["feed.down.weight"]),
    )


def _on_grid(name: str, matrix: Tensor, gain: Tensor | None = None) -> Tensor:
    """Multiples of ``UNIT``; ``gain`` is of the norm before it. Raises ``ConfigError`` where sums would be rounded."""
    wide = matrix.double() if gain is None else matrix.double() * gain.double()
    rounded = (wide / UNIT).round_() * UNIT
    largest = float(rounded.abs().sum(1).max())
    if not largest < _LARGEST_SUM:
        raise ConfigError(f"{name}: weights add up to {largest:g} in a row, where less than {_LARGEST_SUM:g} are exact")
    return rounded


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """By x in steps up to ``_LAST``: e^-x in units of 1 / ``_ONE``; and x / (1 + e^x), by which SiLU falls short of
    max(x, 0) on both sides, in ``UNIT``. No entry is so near the middle of two whole numbers that libraries could
    differ (a test says so), and if they did, the canary would."""
    exponentials = [round(exponential(step)) for step in range(_LAST)]
    gaps = [round(silu_gap(step)) for step in range(_LAST)]
    first, second = (torch.tensor([*table, 0], dtype=torch.float64) for table in (exponentials, gaps))
    return first, second


def exponential(step: int) -> float:
    return math.exp(-step * _STEP) * _ONE


def silu_gap(step: int) -> float:
    return step * _STEP / (1 + math.exp(step * _STEP)) / UNIT
