"""The parts of a model: layers of a Llama-shaped decoder, rotary positions, and the cache of keys and values.

Legend: R rows, T positions, S positions that can be attended to (the cached ones, then T), D width,
N query heads, G key/value heads, H width of a head, F inner width of the feed-forward.

Rotary embedding rotates halves of a head, as Hugging Face does, not neighbouring pairs as the Llama paper's code does,
so an export to ``LlamaForCausalLM`` renames weights and permutes none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pctrain.config import ModelConfig
from pctrain.model.attention import Visible, attend, nearby


class Block(nn.Module):
    """Attention, then feed-forward; each reads the normed residual stream and adds to it."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config, index)
        self.feed_norm = RMSNorm(config.width, config.norm_eps)
        self.feed = FeedForward(config)

    def forward(self, x_RTD: Tensor, rotation: Rotation, visible: Visible | None, cache: Cache | None) -> Tensor:
        x_RTD = x_RTD + self.attention(self.attention_norm(x_RTD), rotation, visible, cache)
        fed_RTD: Tensor = x_RTD + self.feed(self.feed_norm(x_RTD))
        return fed_RTD


class Attention(nn.Module):
    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.head_width = config.width // config.attention_heads
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, config.kv_heads * self.head_width, bias=False)
        self.value = nn.Linear(config.width, config.kv_heads * self.head_width, bias=False)
        self.output = nn.Linear(config.width, config.width, bias=False)
        self.near = nn.Parameter(torch.empty(config.attention_heads, config.reach)) if config.reach else None
        """What is added to a score, by head and distance."""

    def forward(self, x_RTD: Tensor, rotation: Rotation, visible: Visible | None, cache: Cache | None) -> Tensor:
        query_RNTH, key_RGTH = self._heads(self.query(x_RTD)), self._heads(self.key(x_RTD))
        if rotation is not None:
            query_RNTH, key_RGTH = rotate(query_RNTH, rotation), rotate(key_RGTH, rotation)
        value_RGTH = self._heads(self.value(x_RTD))
        if cache is not None:
            key_RGTH, value_RGTH = cache.extend(self.index, key_RGTH, value_RGTH)
        if self.near is not None:
            assert isinstance(visible, Tensor)
            visible = nearby(self.near, visible)
        y_RNTH = attend(query_RNTH, key_RGTH, value_RGTH, visible)
        y_RTD: Tensor = self.output(y_RNTH.transpose(1, 2).flatten(2))
        return y_RTD

    def _heads(self, x_RTD: Tensor) -> Tensor:
        return x_RTD.view(*x_RTD.shape[:2], -1, self.head_width).transpose(1, 2)


class FeedForward(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x_RTD: Tensor) -> Tensor:
        y_RTD: Tensor = self.down(F.silu(self.gate(x_RTD)) * self.up(x_RTD))
        return y_RTD


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


class RMSNorm(nn.Module):
    """Always in float32. Written out because torch 2.13's own is three times slower on a CPU, backward included."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (normed * self.weight).type_as(x)


class Cache:
    """Keys and values of the positions so far, for generation, with room for ``capacity`` of them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def extend(self, layer: int, key_RGTH: Tensor, value_RGTH: Tensor) -> tuple[Tensor, Tensor]:
        """Add one layer's new keys and values; returns all of them, [R, G, S, H]: views of the cache."""
        if layer not in self._kept:
            rows, groups, _, width = key_RGTH.shape
            shape = (rows, groups, self.capacity, width)
            self._kept[layer] = key_RGTH.new_empty(shape), value_RGTH.new_empty(shape)
        end = self.length + key_RGTH.shape[2]
        keys, values = self._kept[layer]
        keys[:, :, self.length : end] = key_RGTH
        values[:, :, self.length : end] = value_RGTH
        return keys[:, :, :end], values[:, :, :end]

    def forget(self, count: int) -> None:
        """Remove the last ``count`` positions, all of them of the last pass."""
        self.length -= count

    @property
    def description(self) -> str:
        """How much it holds, where that is worth telling."""
        return ""


Rotation = tuple[Tensor, Tensor] | None
"""Cosine and sine; None where distances are biases (``ModelConfig.reach``)."""


def rotary(positions_RT: Tensor, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, [R, 1, T, H/2] each, float32."""
    evens = torch.arange(0, head_width, 2, device=positions_RT.device, dtype=torch.float32)
    angles_RTH = positions_RT[..., None].float() * base ** (-evens / head_width)
    return angles_RTH.cos()[:, None], angles_RTH.sin()[:, None]


def rotate(x_RNTH: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first half of each head against the second, in float32."""
    cos, sin = rotation
    first, second = x_RNTH.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).type_as(x_RNTH)
