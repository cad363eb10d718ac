"""The files that a fitted neural codec consists of: weights, the decoder's shape, and whole numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from pcdata.codecs.base import Artifact
from pcdata.codecs.byte_model import BIT, ByteModel
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.vocab import Vocabulary
from pcdata.errors import CodecError
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder
from pctrain.neural.exact import Exact
from pctrain.neural.model import NeuralModel

WEIGHTS: Final = "model.safetensors"
"""A ``Decoder``'s, by name, as trained (float32)."""
SHAPE: Final = "config.json"
"""Of ``ModelConfig`` what is not the default, so that settings that others need change no artifact."""
NUMBERS: Final = "neural.json"
"""``Numbers``."""

LEAST_SEGMENT_BYTES: Final = 2
_DEFAULTS: Final = dataclasses.asdict(ModelConfig())
_COUNTS: Final = "whole-1"
"""How weights become counts: ``exact`` and ``model.counts`` as they are now. Another rule gets another name."""

_CANARY_TEXT: Final = "def f(x):\n\treturn 'naïve' + x[::-1]  # 0123\n".encode() + bytes(range(0, 256, 3)) + b"\0" * 40
_CANARY_STARTS: Final = (0, 1, 11, 60)


@dataclass(frozen=True)
class Numbers:
    """What a codec knows beside the weights."""

    thresholds: tuple[int, ...]
    """Of segments of 2, 3 … 64 bytes on average (``segments.find_threshold``)."""
    canary: str
    """``canary`` of the machine that fitted it."""


def threshold_of(numbers: Numbers, segment_bytes: int) -> int:
    return numbers.thresholds[segment_bytes - LEAST_SEGMENT_BYTES]


def canary(model: ByteModel) -> str:
    """The hash of the counts on a fixed text of several spans."""
    predictions = model.predict(np.frombuffer(_CANARY_TEXT, np.uint8), np.array(_CANARY_STARTS))
    return hashlib.blake2b(predictions.table.cumulative_RC.astype("<u4").tobytes(), digest_size=16).hexdigest()


def pack(config: ModelConfig, weights: Mapping[str, Tensor], numbers: Numbers) -> Artifact:
    """The files."""
    values = {"counts": _COUNTS, **dataclasses.asdict(numbers)}
    return {
        WEIGHTS: safetensors.torch.save({name: weight.contiguous() for name, weight in weights.items()}),
        SHAPE: _json({name: value for name, value in dataclasses.asdict(config).items() if value != _DEFAULTS[name]}),
        NUMBERS: _json(values),
    }


def unpack(artifact: Artifact) -> tuple[NeuralModel, Numbers]:
    """The model and its numbers, once it has shown that its counts here are those it was fitted with.

    Raises ``CodecError`` naming the fault.
    """
    if set(artifact) != {WEIGHTS, SHAPE, NUMBERS}:
        raise CodecError(f"neural needs the artifact files {WEIGHTS}, {SHAPE} and {NUMBERS}, got {sorted(artifact)}")
    numbers = _numbers(artifact[NUMBERS])
    try:
        config = ModelConfig(**_object(artifact[SHAPE], SHAPE))
        weights = safetensors.torch.load(artifact[WEIGHTS])
        wanted = {name: weight.shape for name, weight in _empty(config).items()}
        if {name: weight.shape for name, weight in weights.items()} != wanted:
            raise CodecError(f"neural: {WEIGHTS} holds another model than {SHAPE} describes")
        model = NeuralModel(Exact(config, weights))
    except (ConfigError, SafetensorError, TypeError) as error:
        raise CodecError(
            f"neural: the artifact's model cannot be used: {error}; use the pctrain that fitted it, or fit again"
        ) from None
    found = canary(model)
    if found != numbers.canary:
        raise CodecError(
            f"neural: here the model's counts on the canary text have the hash {found}, where it was fitted they had "
            f"{numbers.canary}, so what one encodes the other cannot decode; restore the artifact's files, or fit again"
        )
    return model, numbers


def _empty(config: ModelConfig) -> dict[str, Tensor]:
    """A model's weights, without memory."""
    with torch.device("meta"):
        return dict(Decoder(config, Vocabulary({}).padded_size).named_parameters())


def _numbers(data: bytes) -> Numbers:
    values = _object(data, NUMBERS)
    if values.pop("counts", None) != _COUNTS:
        raise CodecError(f"neural: {NUMBERS} is of another version than {_COUNTS}; use the pctrain that fitted it")
    n_thresholds = LONGEST_SEGMENT_BYTES - LEAST_SEGMENT_BYTES + 1
    match values:
        case {"thresholds": list(thresholds), "canary": str(mark)} if len(values) == 2:
            if len(thresholds) == n_thresholds and all(map(_is_threshold, thresholds)):
                return Numbers(tuple(thresholds), mark)
    raise CodecError(
        f"neural: {NUMBERS} must have a canary, and {n_thresholds} thresholds, whole numbers 0 … {8 * BIT}"
    )


def _is_threshold(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 8 * BIT


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        values = parse_json(data)
    except ValueError as error:
        raise CodecError(f"neural: {name} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise CodecError(f"neural: {name} must hold an object")
    return values


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=1).encode() + b"\n"
