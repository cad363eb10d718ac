"""A decoder's arithmetic in whole numbers: bytes → odds that are the same in any batch, on any machine.

The float32 logits of one context change with the shape of the batch, because a sum of floats depends on its order. Here
no sum is ever rounded. A matrix has 7-bit integers and a factor per row, and is multiplied with 15-bit integers. The
products, attention, and the residual stream are whole numbers in float64, which holds every partial sum exactly. So
order does not matter, nor do shapes, threads, libraries and devices. Between the products there are only elementwise
operations that IEEE 754 defines exactly (+ − × ÷ √, rounding), and two tables.

The numbers are this short for processors that multiply int8 fast (AVX-512 with VNNI): there the 15 bits are split into
two halves of 8 and summed in 32 bits, four times as fast as float64. Elsewhere torch's int8 products are plain loops,
up to twenty times slower, and float64 is used; the numbers are the same. Weights have 7 bits, not 8, because x86
processors without VNNI sum two 8-bit products in 16 bits (oneDNN, *Nuances of int8 computations*). Such coarse weights
cost 0.005 bits per byte (of 1.80).

Legend: T positions of spans laid end to end, B blocks of C positions, K keys that a block can see, P = reach - 1
positions before a block, D width, N query heads, G key/value heads, J = N / G, H width of a head, F inner width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
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
"""The unit of the residual stream, keys, values and the like."""
_MOST: Final = 2.0**21
"""Their largest magnitude in units; larger values are clipped."""
_INPUT: Final = 2.0**-9
"""The unit of a matrix product's input, which is at most ``_MOST_INPUT`` units."""
_HALF: Final = 128
_MOST_INPUT: Final = 127 * _HALF + 63
_MOST_WEIGHT: Final = 63
_STEP: Final = 2.0**-10
"""The unit of exponents."""
_LAST: Final = 16 << 10
"""From this many steps on, e^-x is 0."""
_ONE: Final = 2.0**20
"""The largest attention weight, and the largest odds of a byte."""
_MOST_WIDTH: Final = 1 << 11
"""Squares of at most 2^21 each then sum to at most 2^53, and matrix products, also in halves, to less than 2^31."""

Past = list[tuple[Tensor, Tensor]]
"""Keys and values of the last P positions, [P, G, H] each, for every layer."""


def check_shape(config: ModelConfig) -> None:
    """Raises ``ConfigError`` unless a codec can use a model of this shape."""
    if not config.reach or config.layers * (config.reach - 1) >= REACH_BYTES:
        most = 1 + (REACH_BYTES - 1) // config.layers
        raise ConfigError(
            f"model.reach must be 1 … {most} in a codec of {config.layers} layers, so that together they see at most "
            f"{REACH_BYTES} bytes; got {config.reach}"
        )
    if config.predict_heads > 1 or config.raw_predict_heads:
        raise ConfigError(
            "a codec's model has no further heads: leave model.predict_heads at 1, model.raw_predict_heads at 0"
        )
    for name in ("width", "hidden"):
        if getattr(config, name) > _MOST_WIDTH:
            raise ConfigError(f"model.{name} must be at most {_MOST_WIDTH} in a codec, got {getattr(config, name)}")


class _Matrix(NamedTuple):
    """Rows of integers, each with a factor."""

    rows_OI: Tensor
    """At most ``_MOST_WEIGHT``; int8, or float64 where int8 is slower."""
    factors_O: Tensor
    """From products of whole numbers to units of the result."""

    def times(self, x_TI: Tensor) -> Tensor:
        """Integers in units of ``_INPUT`` → integers in units of the result. [T, O]"""
        bounded_TI = x_TI.clamp(-_MOST_INPUT, _MOST_INPUT)
        in_halves = self.rows_OI.dtype is torch.int8
        products_TO = _in_halves(bounded_TI, self.rows_OI) if in_halves else bounded_TI @ self.rows_OI.t()
        return products_TO.mul_(self.factors_O).round_()


def _in_halves(whole_TI: Tensor, rows_OI: Tensor) -> Tensor:
    """The product of integers in float64 with int8, both halves in one int8 multiplication. [T, O]"""
    # Via int16: torch's conversion from float64 to int8 takes ten times as long.
    short_TI = whole_TI.to(torch.int16)
    high_TI = (short_TI + _HALF // 2) >> 7
    halves = torch.empty(2, *short_TI.shape, dtype=torch.int8)
    halves[0] = high_TI
    halves[1] = short_TI.sub_(high_TI << 7)
    high_TO, low_TO = torch._int_mm(halves.flatten(0, 1), rows_OI.t()).chunk(2)
    return high_TO.mul_(_HALF).add_(low_TO).double()


@cache
def int8_pays() -> bool:
    """Whether products in halves are faster here. Measured, since torch does not say how it computes them; only speed
    depends on it. Where they are plain loops it took 0.12 s, once per process."""
    whole_TI = torch.arange(128.0 * 256, dtype=torch.float64).view(128, 256) % _MOST_INPUT
    rows_OI = (torch.arange(256 * 256).view(256, 256) % _MOST_WEIGHT).to(torch.int8)
    wide_OI = rows_OI.double()

    def seconds(product: Callable[[], Tensor]) -> float:
        begun = time.perf_counter()
        product()
        return time.perf_counter() - begun

    in_halves = min(seconds(lambda: _in_halves(whole_TI, rows_OI)) for _ in range(3))
    return in_halves < min(seconds(lambda: whole_TI @ wide_OI.t()) for _ in range(3))


class _Layer(NamedTuple):
    """Weights as integers; a norm's are folded into the matrices after it."""

    inward: _Matrix
    """Query, key and value, [N·H + 2·G·H, D]; the query's divided by √H."""
    near: Tensor
    """In steps of exponents. [N, reach]"""
    output: _Matrix
    gate_up: _Matrix
    """[2·F, D]"""
    down: _Matrix


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
        self._head = _matrix("head", head[FIRST_BYTE : FIRST_BYTE + N_BYTES], weights["norm.weight"], unit=_STEP)
        self._exponentials, self._silu_gaps = _tables()

    def no_past(self) -> Past:
        _, groups, width = self._heads
        nothing = torch.zeros(self.config.reach - 1, groups, width, dtype=torch.float64)
        return [(nothing, nothing)] * self.config.layers

    def odds(self, inputs_T: Tensor, begins_T: Tensor, past: Past) -> tuple[Tensor, Past]:
        """The odds of the 256 bytes after each position: integers proportional to probabilities, the largest of them
        2^20 [T, 256]; and the past for the next call.

        ``begins_T`` says where each position's span begins, relative to the first position here: below 0 if it is in
        the ``past``.
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
            x_TD = _bounded(x_TD.add_(y_TD))
            y_TD = self._feed(layer, _normed(x_TD, self.config.norm_eps))
            x_TD = _bounded(x_TD.add_(y_TD))
        normed_TD = _normed(x_TD[:n_positions], self.config.norm_eps)
        return self._softmax(self._head.times(normed_TD)), after

    def _hidden(self, begins_BC: Tensor) -> Tensor:
        """What each position does not see: later, too distant, or another span. [B, 1, 1, C, K]"""
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
        inward = _bounded(layer.inward.times(x_TD)).view(len(x_TD), -1, width)
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
        y_BGLH = (weights @ value_BGHK.transpose(2, 3)).div_(weights.sum(-1, keepdim=True)).mul_(UNIT / _INPUT).round_()
        y_BCGJH = y_BGLH.view(blocks, groups, -1, block, width).permute(0, 3, 1, 2, 4)
        return layer.output.times(y_BCGJH.reshape(len(x_TD), -1)), keys, values

    def _feed(self, layer: _Layer, x_TD: Tensor) -> Tensor:
        gate_TF, up_TF = _bounded(layer.gate_up.times(x_TD)).chunk(2, dim=1)
        steps_TF = gate_TF.abs().mul_(UNIT / _STEP).round_().clamp_(max=_LAST).int()
        silu_TF = gate_TF.clamp(min=0).sub_(_looked_up(self._silu_gaps, steps_TF))
        return layer.down.times(silu_TF.mul_(up_TF).mul_(UNIT * UNIT / _INPUT).round_())

    def _softmax(self, steps: Tensor) -> Tensor:
        """e^x of exponents in steps, scaled to a maximum of 1; not divided by the sum. Overwrites the argument."""
        below = steps.sub_(steps.amax(-1, keepdim=True)).neg_().clamp_(max=_LAST)
        return _looked_up(self._exponentials, below.int())


def _normed(x_TD: Tensor, eps: float) -> Tensor:
    """Without the norm's weights."""
    # Times 1 / D, not divided by D, which a GPU replaces by this and so rounds differently.
    squares_T1 = x_TD.square().sum(-1, keepdim=True).mul_(1 / x_TD.shape[-1]).add_(eps / UNIT**2)
    return x_TD.mul(squares_T1.sqrt_().reciprocal_().mul_(1 / _INPUT)).round_()


def _bounded(x: Tensor) -> Tensor:
    return x.clamp_(-_MOST, _MOST)


def _looked_up(table: Tensor, places: Tensor) -> Tensor:
    return table.index_select(0, places.view(-1)).view_as(places)


def _distances(block: int, before: int) -> Tensor:
    """From each position of a block back to each key in its reach. [C, K]"""
    return torch.arange(before, before + block)[:, None] - torch.arange(before + block)


def _layer(config: ModelConfig, weights: Mapping[str, Tensor], name: str) -> _Layer:
    of = {key.removeprefix(name): weight for key, weight in weights.items() if key.startswith(name)}
    scale = 1 / math.sqrt(config.width // config.attention_heads)
    inward = [of["attention.query.weight"].double() * scale, of["attention.key.weight"], of["attention.value.weight"]]
    gate_up = [of["feed.gate.weight"], of["feed.up.weight"]]
    return _Layer(
        _matrix(f"{name}attention", torch.cat([each.double() for each in inward]), of["attention_norm.weight"]),
        (of["attention.near"].double() / _STEP).round_(),
        _matrix(f"{name}attention.output", of["attention.output.weight"]),
        _matrix(f"{name}feed", torch.cat(gate_up), of["feed_norm.weight"]),
        _matrix(f"{name}feed.down", of["feed.down.weight"]),
    )


def _matrix(name: str, weights_OI: Tensor, gain_I: Tensor | None = None, unit: float = UNIT) -> _Matrix:
    """Rounded to integers. ``gain_I`` is of the norm before it, ``unit`` that of the result. Raises ``ConfigError`` for
    weights that are not finite."""
    wide_OI = weights_OI.double() if gain_I is None else weights_OI.double() * gain_I.double()
    if not wide_OI.isfinite().all():
        raise ConfigError(f"{name}: there are weights that are not finite")
    factors_O = wide_OI.abs().amax(1).div_(_MOST_WEIGHT).clamp_(min=UNIT * UNIT)
    rows_OI = (wide_OI / factors_O[:, None]).round_()
    return _Matrix(rows_OI.to(torch.int8) if int8_pays() else rows_OI, factors_O * (_INPUT / unit))


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """For x in steps up to ``_LAST``: e^-x in units of 1 / ``_ONE``; and x / (1 + e^x), the distance from SiLU to
    max(x, 0) on both sides, in ``UNIT``. A test shows that no entry is so close to a rounding boundary that libraries
    could differ; the canary would detect it."""
    exponentials = [round(exponential(step)) for step in range(_LAST)]
    gaps = [round(silu_gap(step)) for step in range(_LAST)]
    first, second = (torch.tensor([*table, 0], dtype=torch.float64) for table in (exponentials, gaps))
    return first, second


def exponential(step: int) -> float:
    return math.exp(-step * _STEP) * _ONE


def silu_gap(step: int) -> float:
    return step * _STEP / (1 + math.exp(step * _STEP)) / UNIT
