"""The cost of training, in floating-point operations, by which runs are compared; and the peak of a device."""

from __future__ import annotations

import math
from time import perf_counter

import torch

from pcdata.dataset.vocab import RAW_IDS
from pctrain.config import ModelConfig, RunConfig
from pctrain.model.device import precision
from pctrain.model.kinds import entries_known, has_scratchpads, stages


def flops_of_step(config: RunConfig, n_ids: int, entries: float | None = None) -> int:
    """One training step, forward and backward, over all its rows; ``entries`` as in ``flops_per_position``."""
    return config.data.rows * config.data.seq_len * flops_per_position(config, n_ids, entries)


def flops_per_position(config: RunConfig, n_ids: int, entries: float | None = None) -> int:
    """Floating-point operations of one training step per position, forward and backward; ``entries`` as in ``stages``,
    or the least there can be.

    6 per weight of a matrix (Kaplan et al. 2020, section 2.1), output matrices counted once per use; and
    12 · layers · width · seq_len for attention (Chowdhery et al. 2022, *PaLM*, appendix B), since masked scores are
    computed too. Layers that run at fewer positions count in proportion.
    """
    model = config.model
    if entries is None:
        entries, _ = entries_known(config)
    kv_width = model.width // model.attention_heads * model.kv_heads
    layer = 2 * model.width**2 + 2 * model.width * kv_width + 3 * model.width * model.hidden
    ahead = max(model.predict_heads, model.raw_predict_heads) - 1
    in_layers = [
        stage.layers * stage.share * (6 * layer + 12 * model.width * stage.attended)
        for stage in stages(config, entries)
    ]
    # A model with scratchpads predicts raw ids for their entropy, and again for the loss of that prediction.
    of_entropy = 8 * RAW_IDS * model.width if has_scratchpads(config) else 0
    return round(sum(in_layers)) + 6 * ahead * model.width**2 + flops_of_outputs(model, n_ids) + of_entropy


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
