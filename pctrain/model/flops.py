"""What a position costs in training: the number that runs are compared at."""

from __future__ import annotations

from pcdata.dataset.vocab import RAW_IDS
from pctrain.config import ModelConfig


def flops_per_position(model: ModelConfig, n_ids: int, seq_len: int) -> int:
    """Floating-point operations of one training step per position, forward and backward.

    6 per weight that multiplies (Kaplan et al. 2020, section 2.1), the output matrices counted as often as they are
    used and the embedding table, which is looked up, not at all; and 12 · layers · width · seq_len for attention
    (Chowdhery et al. 2022, *PaLM*, appendix B): with a mask, what is masked is computed too.
    """
    kv_width = model.width // model.attention_heads * model.kv_heads
    layer = 2 * model.width**2 + 2 * model.width * kv_width + 3 * model.width * model.hidden
    ahead = max(model.heads, model.raw_heads) - 1
    raw_outputs = max(0, model.raw_heads - model.heads)
    outputs = model.heads * n_ids * model.width + raw_outputs * RAW_IDS * model.width
    weights = model.layers * layer + ahead * model.width**2 + outputs
    return 6 * weights + 12 * model.layers * model.width * seq_len
