"""Attention masks, and attention with them: by a boolean mask, in blocks of a band, or by flex attention, which skips
blocks that are wholly masked (Dong et al. 2024, *Flex Attention*).

Flex attention needs a GPU: on a CPU it has no backward (torch 2.13), and a mask costs no more than plain causal
attention.

Legend: R rows, T positions, S positions that can be attended to, N query heads, G key/value heads, H width of a head,
B blocks of W positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


@dataclass(frozen=True, eq=False)
class Band:
    """Every position attends to fewer than W before it: to its own block of W positions and the one before."""

    seen_RB1WS: Tensor
    """Bools; S = 2·W. The last block may be longer than the row."""


Visible = Tensor | BlockMask | Band

_FLEX_OPTIONS: Final[Any] = {"FORCE_USE_FLEX_ATTENTION": True}
"""Never use its decoding kernel: torch 2.11 chooses that for rows of fewer than 128 positions, and then finds none that
fits."""


def attend(query_RNTH: Tensor, key_RGSH: Tensor, value_RGSH: Tensor, visible: Visible | None) -> Tensor:
    """[R, N, T, H]; N / G query heads share each key/value head. Without ``visible`` every position attends to all S:
    for a single new position, which sees everything before it, a mask would cost more than the attention."""
    if isinstance(visible, BlockMask):
        compiled = query_RNTH.is_cuda and not torch.compiler.is_compiling()
        flex: Any = _compiled_flex() if compiled else flex_attention
        attended: Tensor = flex(
            query_RNTH, key_RGSH, value_RGSH, block_mask=visible, enable_gqa=True, kernel_options=_FLEX_OPTIONS
        )
        return attended
    if isinstance(visible, Band):
        return _attend_in_blocks(query_RNTH, key_RGSH, value_RGSH, visible)
    return F.scaled_dot_product_attention(query_RNTH, key_RGSH, value_RGSH, attn_mask=visible, enable_gqa=True)


def within_samples(samples_RT: Tensor, *, flex: bool = False) -> Visible:
    """A position attends to its own sample up to itself; as [R, 1, T, T] bools, or for flex attention.

    Padding (sample 0) attends to padding, so no row of the softmax is empty, which would give NaN.
    """
    rows, positions = samples_RT.shape
    if not flex:
        return _same(samples_RT) & causal(positions, positions, samples_RT.device)

    def sees(row: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (samples_RT[row, query] == samples_RT[row, key]) & (query >= key)

    return create_block_mask(sees, rows, None, positions, positions, device=samples_RT.device.type)


def within_reach(samples_RT: Tensor, reach: int) -> Visible:
    """As ``within_samples``, but only to ``reach`` positions, including its own: a band where that is less work."""
    positions = samples_RT.shape[1]
    if 2 * reach >= positions:
        return _same(samples_RT) & near(positions, positions, reach, samples_RT.device)
    blocks = -(-positions // reach)
    # A position that does not exist has a sample of its own, and so have those before the row.
    own_RC = F.pad(samples_RT, (reach, blocks * reach - positions), value=-1)
    keys_RBS = own_RC.unfold(1, 2 * reach, reach)
    same_RBWS = keys_RBS[:, :, reach:, None] == keys_RBS[:, :, None, :]
    return Band((same_RBWS & near(reach, 2 * reach, reach, samples_RT.device))[:, :, None])


def _same(samples_RT: Tensor) -> Tensor:
    """Which positions are in the same sample. [R, 1, T, T]"""
    return (samples_RT[:, :, None] == samples_RT[:, None, :])[:, None]


def _attend_in_blocks(query_RNTH: Tensor, key_RGTH: Tensor, value_RGTH: Tensor, band: Band) -> Tensor:
    """The cost of an attention of T positions to 2·W."""
    rows, n_blocks, _, width, _ = band.seen_RB1WS.shape
    missing = n_blocks * width - query_RNTH.shape[2]

    def in_blocks(x_RGTH: Tensor, before: int) -> Tensor:
        padded = F.pad(x_RGTH, (0, 0, before, missing))
        x_RGBHS = padded.unfold(2, before + width, width)
        return x_RGBHS.permute(0, 2, 1, 4, 3).flatten(0, 1)

    query, key, value = in_blocks(query_RNTH, 0), in_blocks(key_RGTH, width), in_blocks(value_RGTH, width)
    seen = band.seen_RB1WS.flatten(0, 1)
    y_ANWH = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, enable_gqa=True)
    y_RNBWH = y_ANWH.view(rows, n_blocks, *y_ANWH.shape[1:]).transpose(1, 2)
    return y_RNBWH.flatten(2, 3)[:, :, : query_RNTH.shape[2]]


def near(n_positions: int, n_visible: int, reach: int, device: torch.device) -> Tensor:
    """[T, S], as ``causal``, but only to ``reach`` positions."""
    return causal(n_positions, n_visible, device).triu(n_visible - n_positions - reach + 1)


def causal(n_positions: int, n_visible: int, device: torch.device) -> Tensor:
    """[T, S], true where the last T of S positions may attend."""
    return torch.ones(n_positions, n_visible, dtype=torch.bool, device=device).tril(n_visible - n_positions)


def nearby(near_ND: Tensor, visible: Tensor) -> Tensor:
    """What is added to scores, [R or 1, N, T, S]: ``near_ND`` by head and distance, and -inf where ``visible``
    ([…, T, S]) is false or the distance is D or more."""
    n_positions, n_visible = visible.shape[-2:]
    here_T = torch.arange(n_visible - n_positions, n_visible, device=visible.device)
    distance_TS = here_T[:, None] - torch.arange(n_visible, device=visible.device)
    reach = near_ND.shape[1]
    seen = visible & (distance_TS < reach)
    bias_NTS = near_ND[:, distance_TS.clamp(0, reach - 1)]
    return torch.where(seen if seen.ndim == 4 else seen[None, None], bias_NTS, -torch.inf)


def flex_fits(device: torch.device, head_width: int) -> bool:
    """Whether there is a kernel: on a GPU, for head widths of 16, 32, 64 …"""
    return device.type == "cuda" and head_width >= 16 and head_width & (head_width - 1) == 0


@cache
def _compiled_flex() -> Callable[..., Any]:
    """Without compilation, flex attention computes the whole matrix of scores."""
    return torch.compile(flex_attention, dynamic=False)
