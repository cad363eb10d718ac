"""Codecs and models out of an artifact's folder."""

from __future__ import annotations

from pathlib import Path

import torch

from pcdata.codecs.base import Artifact
from pcdata.codecs.requests import parse_request
from pctrain.config import ModelConfig
from pctrain.model.decoder import Decoder, init_weights
from pctrain.neural.codec import NeuralCodec
from pctrain.neural.exact import Exact

SETTINGS = [
    "data.rows=16",
    "model.width=32",
    "model.layers=2",
    "model.attention_heads=4",
    "model.kv_heads=2",
    "model.hidden=48",
    "model.reach=12",
    "train.steps=24",
    "optim.lr=1e-2",
    "optim.lr_warmup_steps=4",
    "checkpoint.every=8",
    "eval.every=0",
    "eval.bytes=2000",
    'runtime.device="cpu"',
]
"""Of a fit that takes seconds."""

SHAPES = {
    "grouped": ModelConfig(width=32, layers=2, attention_heads=4, kv_heads=2, hidden=48, reach=5),
    "far": ModelConfig(width=24, layers=1, attention_heads=3, kv_heads=3, hidden=40, reach=128),
    "alone": ModelConfig(width=16, layers=3, attention_heads=2, kv_heads=1, hidden=24, reach=1, tie_embeddings=True),
}


def opened(coder: Path, options: str = "") -> NeuralCodec:
    parsed = parse_request(f"neural:artifact={coder}{options}")
    return NeuralCodec(parsed.parameters, artifact_of(coder), {})


def artifact_of(coder: Path) -> Artifact:
    return NeuralCodec.read_artifact(coder)


def made(config: ModelConfig, seed: int = 0) -> tuple[Decoder, Exact]:
    """A decoder that is sure of some things, and its exact twin."""
    decoder = Decoder(config, 320)
    init_weights(decoder, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name.endswith("near"):
                parameter.normal_(generator=generator)
            else:
                parameter.mul_(1.5)
    return decoder.eval(), Exact(config, dict(decoder.named_parameters()))
