"""The cost of training, in floating-point operations, by which runs are compared; and the peak of a device."""

from __future__ import annotations

import math
from time import perf_counter

import torch

from pcdata.dataset.vocab import RAW_IDS
from pctrain.config import ModelConfig, RunConfig
from pctrain.model.device import precision


def flops_of_step(config: RunConfig, n_ids: int) -> int:
    """One training step, forward and backward, over all its rows."""
    seq_len = config.data.seq_len
    return config.data.rows * seq_len * flops_per_position(config.model, n_ids, seq_len)


def flops_per_position(model: ModelConfig, n_ids: int, seq_len: int) -> int:
    """Floating-point operations of one training step per position, forward and backward.

    6 per weight of a matrix (Kaplan et al. 2020, section 2.1), output matrices counted once per use; and
    12 · layers · width · seq_len for attention (Chowdhery et al. 2022, *PaLM*, appendix B), since masked scores are
    computed too.
    """
    kv_width = model.width // model.attention_heads * model.kv_heads
    layer = 2 * model.width**2 + 2 * model.width * kv_width + 3 * model.width * model.hidden
    ahead = max(model.predict_heads, model.raw_predict_heads) - 1
    weights = model.layers * layer + ahead * model.width**2
    return 6 * weights + flops_of_outputs(model, n_ids) + 12 * model.layers * model.width * seq_len


def flops_of_outputs(model: ModelConfig, n_ids: int) -> int:
    """The part of the output matrices."""
    raw_outputs = max(0, model.raw_predict_heads - model.predict_heads)
    return 6 * model.width * (model.predict_heads * n_ids + raw_outputs * RAW_IDS)


def matmul_flops_per_second(device: torch.device, dtype: str) -> float:
    """The fastest of a few products of square matrices: the ceiling for utilisation."""
    width, times = (8192, 20) if device.type == "cuda" else (1024, 5)
    a, b = (torch.ones(width, width, device=device, dtype=precision(device, dtype)) for _ in range(2))
    fastest = math.inf
    for _ in range(times):
        begun = _now(device)
        torch.mm(a, b)
        fastest = min(fastest, _now(device) - begun)
    return 2 * width**3 / fastest


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()
