"""Attention masks, and attention with them: by a boolean mask, or by flex attention, which skips blocks that are wholly
masked (Dong et al. 2024, *Flex Attention*).

Flex attention needs a GPU: on a CPU it has no backward (torch 2.13), and a mask costs no more than plain causal
attention.

Legend: R rows, T positions, S positions that can be attended to, N query heads, G key/value heads, H width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

Visible = Tensor | BlockMask

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
    return F.scaled_dot_product_attention(query_RNTH, key_RGSH, value_RGSH, attn_mask=visible, enable_gqa=True)


def within_samples(samples_RT: Tensor, *, flex: bool = False) -> Visible:
    """A position attends to its own sample up to itself; as [R, 1, T, T] bools, or for flex attention.

    Padding (sample 0) attends to padding, so no row of the softmax is empty, which would give NaN.
    """
    rows, positions = samples_RT.shape
    if not flex:
        same_RTT = samples_RT[:, :, None] == samples_RT[:, None, :]
        return (same_RTT & causal(positions, positions, samples_RT.device))[:, None]

    def sees(row: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (samples_RT[row, query] == samples_RT[row, key]) & (query >= key)

    return create_block_mask(sees, rows, None, positions, positions, device=samples_RT.device.type)


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
