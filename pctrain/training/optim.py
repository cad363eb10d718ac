"""AdamW, and its learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from pctrain.config import TrainConfig


def make_optimizer(model: nn.Module, train: TrainConfig) -> torch.optim.AdamW:
    """Weight decay on matrices only: not on embeddings, not on norms, as published."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and not name.endswith("embed.weight")
        (decayed if matrix else spared).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": train.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    betas = (train.beta1, train.beta2)
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=train.lr, betas=betas, eps=train.eps, fused=fused)


def learning_rate(step: int, train: TrainConfig) -> float:
    """The rate of optimizer step ``step`` (from 0): linear warm-up, then cosine, or constant and linear (wsd)."""
    if step < train.lr_warmup_steps:
        return train.lr * (step + 1) / train.lr_warmup_steps
    if train.schedule == "cosine":
        begin = train.lr_warmup_steps
    else:
        begin = max(train.lr_warmup_steps, round(train.steps * (1 - train.lr_decay_fraction)))
    done = min(1.0, max(0.0, (step - begin) / max(1, train.steps - begin)))
    left = (1 + math.cos(math.pi * done)) / 2 if train.schedule == "cosine" else 1 - done
    return train.lr * (train.lr_final + (1 - train.lr_final) * left)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
