"""Cross entropy straight from hidden states, without holding all logits of a batch at once.

With 65,536 ids the logits of 8,192 positions take 2 GB in float32, and the softmax's gradient the same again. Here they
are computed for some positions at a time, and their gradient is applied at once to the gradients of the hidden states
and the output matrix, which is all that backward needs. Nothing is computed twice. (Hsu et al. 2024, *Liger Kernel*,
section 3.2, fuse the same steps on a GPU; torch has ``linear_cross_entropy`` since 2.13, without weights.)

Legend: N positions, M of them at a time, S targets of a position, D width, V ids.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

_LOGITS_AT_ONCE: Final = 1 << 22
"""16 MB in float32: glibc keeps that much for the next piece, but returns larger ones to the system each time."""
_LOGITS_AT_ONCE_ON_GPU: Final = 1 << 27
"""512 MB: with pieces of 16 MB an H200 waited for the host, which starts some 20 operations per piece."""
_LEAST_POSITIONS: Final = 256
"""Also for a large vocabulary, since every piece adds to the gradient of the whole output matrix once."""


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_NS: Tensor, weights_NS: Tensor
) -> tuple[Tensor, Tensor]:
    """(Σ weights · nats, nats [N, S]) of ``softmax(hidden · weightᵀ)``; the sum has a gradient, the nats have none.

    Softmax and sums are float32 (float64 in a float64 model), even under autocast. A target of weight 0 may be any id.
    """
    total: Tensor
    nats_NS: Tensor
    total, nats_NS = _LinearCrossEntropy.apply(hidden_ND, weight_VD, targets_NS, weights_NS)  # type: ignore[no-untyped-call]
    return total, nats_NS


def positions_at_once(n_ids: int, device: torch.device) -> int:
    """How many positions' logits are computed at a time."""
    at_once = _LOGITS_AT_ONCE_ON_GPU if device.type == "cuda" else _LOGITS_AT_ONCE
    return max(_LEAST_POSITIONS, at_once // n_ids)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_NS: Tensor, weights_NS: Tensor
    ) -> tuple[Tensor, Tensor]:
        with_gradient = any(ctx.needs_input_grad[:2])
        wide = torch.promote_types(weight_VD.dtype, torch.float32)
        weights_NS = weights_NS.to(wide)
        nats_NS = torch.empty_like(weights_NS)
        grad_hidden_ND = torch.empty_like(hidden_ND) if with_gradient else None
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=wide) if with_gradient else None
        positions = positions_at_once(len(weight_VD), hidden_ND.device)
        for start in range(0, len(hidden_ND), positions):
            here = slice(start, start + positions)
            logits_MV = F.linear(hidden_ND[here], weight_VD).to(wide)
            targets_MS, weights_MS = targets_NS[here], weights_NS[here]
            logsumexp_M1 = logits_MV.logsumexp(1, keepdim=True)
            nats_NS[here] = logsumexp_M1 - logits_MV.gather(1, targets_MS)
            if grad_hidden_ND is not None and grad_weight_VD is not None:
                # The gradient by logits, softmax minus one at the target for each target, in the memory of the logits.
                grad_MV = logits_MV.sub_(logsumexp_M1).exp_()
                grad_MV *= weights_MS.sum(1, keepdim=True)
                grad_MV.scatter_add_(1, targets_MS, -weights_MS)
                grad_hidden_ND[here] = F.linear(grad_MV.to(weight_VD.dtype), weight_VD.t())
                grad_weight_VD += torch.mm(grad_MV.t(), hidden_ND[here].to(grad_MV.dtype))
        ctx.save_for_backward(grad_hidden_ND, grad_weight_VD)
        ctx.mark_non_differentiable(nats_NS)
        ctx.weight_dtype = weight_VD.dtype
        return (nats_NS * weights_NS).sum(), nats_NS

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden_ND, grad_weight_VD = ctx.saved_tensors
        return grad * grad_hidden_ND, (grad * grad_weight_VD).to(ctx.weight_dtype), None, None
