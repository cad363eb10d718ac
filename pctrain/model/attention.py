"""Who looks at whom, and attention under it: with a mask of bools, or by flex attention, which passes over whole blocks
in which nobody sees anybody (Dong et al. 2024, *Flex Attention*).

Flex attention needs a GPU: on a CPU it has no backward (torch 2.13), and a mask costs no more than plain causal
attention.

Legend: R rows, T positions, S positions that can be looked at, N query heads, G key/value heads, H width of a head.
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
"""Never its kernel for decoding, which torch 2.11 takes for rows of less than 128 positions, and then finds none that
fits."""


def attend(query_RNTH: Tensor, key_RGSH: Tensor, value_RGSH: Tensor, visible: Visible | None) -> Tensor:
    """[R, N, T, H]; each query head has the keys of the N / G heads it shares them with. Without ``visible`` all look
    at all: of one position, which sees all that came before it, a mask would take longer than the rest."""
    if isinstance(visible, BlockMask):
        compiled = query_RNTH.is_cuda and not torch.compiler.is_compiling()
        flex: Any = _compiled_flex() if compiled else flex_attention
        attended: Tensor = flex(
            query_RNTH, key_RGSH, value_RGSH, block_mask=visible, enable_gqa=True, kernel_options=_FLEX_OPTIONS
        )
        return attended
    return F.scaled_dot_product_attention(query_RNTH, key_RGSH, value_RGSH, attn_mask=visible, enable_gqa=True)


def within_samples(samples_RT: Tensor, *, flex: bool = False) -> Visible:
    """A position may look at its own sample, and not ahead; as [R, 1, T, T] bools, or for flex attention.

    Padding (sample 0) looks at padding, so every row of the softmax has something to look at and none is NaN.
    """
    rows, positions = samples_RT.shape
    if not flex:
        same_RTT = samples_RT[:, :, None] == samples_RT[:, None, :]
        return (same_RTT & causal(positions, positions, samples_RT.device))[:, None]

    def sees(row: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (samples_RT[row, query] == samples_RT[row, key]) & (query >= key)

    return create_block_mask(sees, rows, None, positions, positions, device=samples_RT.device.type)


def causal(n_positions: int, n_visible: int, device: torch.device) -> Tensor:
    """[T, S], true where the last T of S positions may look."""
    return torch.ones(n_positions, n_visible, dtype=torch.bool, device=device).tril(n_visible - n_positions)


def nearby(near_ND: Tensor, visible: Tensor) -> Tensor:
    """What is added to scores, [R or 1, N, T, S]: by head and distance ``near_ND``, and of what is not ``visible``
    ([…, T, S]) or further away than D positions, nothing is left."""
    n_positions, n_visible = visible.shape[-2:]
    here_T = torch.arange(n_visible - n_positions, n_visible, device=visible.device)
    distance_TS = here_T[:, None] - torch.arange(n_visible, device=visible.device)
    reach = near_ND.shape[1]
    seen = visible & (distance_TS < reach)
    bias_NTS = near_ND[:, distance_TS.clamp(0, reach - 1)]
    return torch.where(seen if seen.ndim == 4 else seen[None, None], bias_NTS, -torch.inf)


def flex_fits(device: torch.device, head_width: int) -> bool:
    """Whether there is a kernel: on a GPU, for heads of 16, 32, 64 …"""
    return device.type == "cuda" and head_width >= 16 and head_width & (head_width - 1) == 0


@cache
def _compiled_flex() -> Callable[..., Any]:
    """Uncompiled, flex attention makes the whole matrix of scores."""
    return torch.compile(flex_attention, dynamic=False)
