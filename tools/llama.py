"""A contestant from ``transformers``: its Llama in the shape of one of our models."""

from __future__ import annotations

import os
from typing import Any

from pctrain.config import ModelConfig


def llama(shape: ModelConfig, n_ids: int, positions: int, **more: Any) -> Any:
    """A ``LlamaForCausalLM`` with random weights; ``more`` goes into its configuration. Offline.

    Raises ``ImportError`` if ``transformers`` is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=n_ids,
            hidden_size=shape.width,
            intermediate_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.attention_heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=positions,
            rms_norm_eps=shape.norm_eps,
            **more,
        )
    )
