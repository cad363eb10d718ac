"""AdamW, and its learning rate as a pure function of the step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from pctrain.config import OptimConfig
from pctrain.model.decoder import METHODS


def make_optimizer(model: nn.Module, optim: OptimConfig) -> torch.optim.AdamW:
    """AdamW over all of a decoder's parameters; ``optim.weight_decay_on`` says which of them decay."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    matrices_only = optim.weight_decay_on == "matrices"
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            norms.append(parameter)
        elif name.startswith(METHODS) or (matrices_only and name.endswith(("embed.weight", "near"))):
            spared.append(parameter)
        else:
            decayed.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": optim.weight_decay},
        {"params": spared + norms, "weight_decay": 0.0},
    ]
    betas = (optim.beta1, optim.beta2)
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(groups, lr=optim.lr, betas=betas, eps=optim.eps, fused=fused)
    if optim.weight_decay_on == "all":
        _decay_to_one(norms, optimizer, optim.weight_decay)
    return optimizer


def _decay_to_one(norms: list[nn.Parameter], optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
    """Before each step, decay the weights of norms towards 1, as AdamW decays others towards 0.

    This is what AdamW does in the published model, whose norms multiply by one plus their weights. Here, decay to 0
    would end at a norm that outputs nothing.
    """

    @torch.no_grad()
    def decay(*_: Any) -> None:
        taken = optimizer.param_groups[0]["lr"] * weight_decay
        for weight in norms:
            weight.mul_(1 - taken).add_(taken)

    optimizer.register_step_pre_hook(decay)


def learning_rate(step: int, steps: int, optim: OptimConfig) -> float:
    """The rate of optimizer step ``step`` (from 0): linear warm-up, then cosine, or constant and linear (wsd).

    The first step has lr / lr_warmup_steps, so that it learns something. In the published code (Meta lingua's
    ``lr_cosine``) it has 0, and the warm-up is one step behind the one here; after the warm-up the rates are the same.
    """
    if step < optim.lr_warmup_steps:
        return optim.lr * (step + 1) / optim.lr_warmup_steps
    if optim.schedule == "cosine":
        begin = optim.lr_warmup_steps
    else:
        begin = max(optim.lr_warmup_steps, round(steps * (1 - optim.lr_decay_fraction)))
    done = min(1.0, max(0.0, (step - begin) / max(1, steps - begin)))
    left = (1 + math.cos(math.pi * done)) / 2 if optim.schedule == "cosine" else 1 - done
    return optim.lr * (optim.lr_final + (1 - optim.lr_final) * left)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
