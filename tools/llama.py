"""A contestant from ``transformers``: its Llama in the shape of one of our models."""

from __future__ import annotations

import os
from typing import Any

from pctrain.config import ModelConfig
from pctrain.inference.export import llama_config


def llama(shape: ModelConfig, n_ids: int, positions: int, **more: Any) -> Any:
    """A ``LlamaForCausalLM`` with random weights; ``more`` goes into its configuration. Offline.

    Raises ``ImportError`` if ``transformers`` is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**llama_config(shape, n_ids, positions), **more))
