"""Ids → logits: a Llama-shaped decoder (RMSNorm, rotary positions, grouped-query attention, SwiGLU).

With ``ModelConfig.reach`` layers attend to a few positions back only, and biases replace rotary positions.

Legend: R rows, T positions, S positions that can be attended to (the cached ones, then T), D width,
N query heads, G key/value heads, H width of a head, F inner width of the feed-forward, V ids.

Rotary embedding rotates halves of a head, as Hugging Face does, not neighbouring pairs as the Llama paper's code does,
so an export to ``LlamaForCausalLM`` renames weights and permutes none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pcdata.dataset.vocab import RAW_IDS
from pctrain.config import ModelConfig
from pctrain.model.attention import Visible, attend, causal, nearby, within_samples
from pctrain.model.method import Method

METHODS: Final = "methods."
"""What the names of parameters of methods begin with."""


class Decoder(nn.Module):
    """``n_ids`` is the vocabulary's padded size. Weights are uninitialised until ``init_weights``."""

    def __init__(self, config: ModelConfig, n_ids: int) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(n_ids, config.width)
        self.layers = nn.ModuleList(Block(config, index) for index in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head = nn.Linear(config.width, n_ids, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embed.weight
        self.ahead = nn.ModuleList(
            Ahead(config.width) for _ in range(1, max(config.predict_heads, config.raw_predict_heads))
        )
        self.raw_head = nn.Linear(config.width, RAW_IDS, bias=False) if config.raw_predict_heads else None
        self.methods = nn.ModuleDict()
        """What training methods add (``Method``), by name; a trained model works without them."""
        self.recompute = False
        """Whether layers recompute their activations for backward (activation checkpointing)."""
        self.flex = False
        """Whether to use flex attention where a row has several samples."""

    def forward(
        self, inputs_RT: Tensor, positions_RT: Tensor | None = None, samples_RT: Tensor | None = None
    ) -> Tensor:
        """Logits [R, T, V]. Without ``samples_RT`` every row is one sample; without ``positions_RT`` they count up."""
        return self.logits(self.hidden(inputs_RT, positions_RT, samples_RT))

    def hidden(
        self,
        inputs_RT: Tensor,
        positions_RT: Tensor | None = None,
        samples_RT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The input of the output layer [R, T, D]. With a ``cache`` the inputs follow its positions, and are added."""
        return self.run(self.embed(inputs_RT), positions_RT, samples_RT, cache)

    def run(
        self,
        x_RTD: Tensor,
        positions_RT: Tensor | None = None,
        samples_RT: Tensor | None = None,
        cache: Cache | None = None,
        states: list[Tensor] | None = None,
    ) -> Tensor:
        """The same from embeddings. To ``states`` are added the input of the first layer and the output of each."""
        past = cache.length if cache is not None else 0
        n_positions = x_RTD.shape[1]
        if positions_RT is None:
            positions_RT = torch.arange(past, past + n_positions, device=x_RTD.device)[None]
        visible: Visible | None
        if samples_RT is not None:
            visible = within_samples(samples_RT, flex=self.flex and not self.config.reach)
        elif n_positions == 1 and not self.config.reach:
            visible = None
        else:
            visible = causal(n_positions, past + n_positions, x_RTD.device)
        rotation = None
        if not self.config.reach:
            rotation = rotary(positions_RT, self.config.width // self.config.attention_heads, self.config.rope_base)
        for layer in self.layers:
            if states is not None:
                states.append(x_RTD)
            if self.recompute and self.training:
                x_RTD = checkpoint(layer, x_RTD, rotation, visible, cache, use_reentrant=False)
            else:
                x_RTD = layer(x_RTD, rotation, visible, cache)
        if states is not None:
            states.append(x_RTD)
        if cache is not None:
            cache.length += n_positions
        hidden_RTD: Tensor = self.norm(x_RTD)
        return hidden_RTD

    def logits(self, hidden: Tensor) -> Tensor:
        """[…, D] → […, V]."""
        logits: Tensor = self.head(hidden)
        return logits

    def raw_logits(self, hidden: Tensor) -> Tensor:
        """Logits of the raw ids alone, the only ones that can come next in raw bytes: […, D] → […, 320]."""
        return F.linear(hidden, self.output_weight(0)[:RAW_IDS])

    def output_weight(self, ahead: int) -> Tensor:
        """The output matrix of the head that predicts ``ahead`` symbols after the next: [V, D], or [320, D] for raw ids
        alone."""
        if ahead < self.config.predict_heads:
            return self.head.weight
        assert self.raw_head is not None
        return self.raw_head.weight

    def further_logits(self, hidden: Tensor) -> list[Tensor]:
        """Logits of the raw ids from each head after the first: […, D] → […, 320] each."""
        return [
            F.linear(further(hidden), self.output_weight(ahead)[:RAW_IDS])
            for ahead, further in enumerate(self.ahead, 1)
        ]


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


@torch.no_grad()
def init_weights(model: Decoder, seed: int) -> None:
    """Normal, truncated at three standard deviations. Drawn on the CPU in a fixed order, so that a seed gives the same
    model on every device."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.startswith(METHODS):
            continue
        if name.endswith("norm.weight"):
            parameter.fill_(1.0)
            continue
        if name.endswith("turn.weight"):
            parameter.zero_()
            continue
        if name.endswith("near"):
            parameter.copy_(_falling(*parameter.shape))
            continue
        deviation = _deviation(name, parameter.shape[-1], model.config)
        drawn = torch.empty(parameter.shape)
        nn.init.trunc_normal_(drawn, std=deviation, a=-3 * deviation, b=3 * deviation, generator=generator)
        parameter.copy_(drawn)
    for method in cast("Iterable[Method]", model.methods.values()):
        method.init_weights(generator)


def _deviation(name: str, inputs: int, config: ModelConfig) -> float:
    """Standard deviation of a parameter's initial weights: as in the settings, else 1/√inputs, divided by √(2·layers)
    for the two matrices that write to the residual stream. ``inputs`` is the last axis of a matrix or embedding.

    The scale is from Meta lingua, the depth factor from GPT-2 (Radford et al. 2019, section 2.3).
    """
    scaled = inputs**-0.5
    if name == "embed.weight":
        return config.embed_init_std or scaled
    if name in ("head.weight", "raw_head.weight"):
        return config.head_init_std or scaled
    if name.endswith(("attention.output.weight", "feed.down.weight")):
        scaled *= (2 * config.layers) ** -0.5
    return config.layer_init_std or scaled


def _falling(heads: int, reach: int) -> Tensor:
    """Biases that fall with the distance, by 2 to 1/32 per position, each head more gently than the one before it
    (as in Press et al. 2022, *Train Short, Test Long*, section 3, where they stay fixed). [N, reach]"""
    slopes_N = 2 ** torch.linspace(1, -5, heads)
    return -slopes_N[:, None] * torch.arange(reach)
