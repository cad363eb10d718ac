"""The files of a fitted neural codec: weights, the decoder's shape, and numbers."""

from __future__ import annotations

import dataclasses
import hashlib
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
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.typed_json import typed
from pcdata.dataset.vocab import Vocabulary
from pcdata.errors import CodecError, DatasetError
from pctrain.config import ModelConfig, RunConfig
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder
from pctrain.neural.exact import Exact, check_shape
from pctrain.neural.model import NeuralModel

WEIGHTS: Final = "model.safetensors"
"""A ``Decoder``'s weights by name, as trained (float32)."""
SHAPE: Final = "config.json"
"""Those settings of ``ModelConfig`` that are not the default, so that settings added later change no artifact."""
NUMBERS: Final = "neural.json"
"""``Numbers``."""

LEAST_SEGMENT_BYTES: Final = 2
_FIRST_LAYER: Final = "layers.0."
_DEFAULTS: Final = dataclasses.asdict(ModelConfig())
_COUNTS: Final = "whole-1"
"""How weights become counts: the present rules of ``exact`` and ``model.counts``. Other rules get another name."""

_CANARY_TEXT: Final = "def f(x):\n\treturn 'naïve' + x[::-1]  # 0123\n".encode() + bytes(range(0, 256, 3)) + b"\0" * 40
_CANARY_STARTS: Final = (0, 1, 11, 60)


@dataclass(frozen=True)
class Numbers:
    """What a codec needs besides the weights."""

    thresholds: tuple[int, ...]
    """For mean segment lengths of 2, 3 … 64 bytes (``segments.find_threshold``)."""
    canary: str
    """``canary`` on the machine that fitted the codec."""


def threshold_of(numbers: Numbers, segment_bytes: int) -> int:
    return numbers.thresholds[segment_bytes - LEAST_SEGMENT_BYTES]


def canary(model: ByteModel) -> str:
    """The hash of the counts on a fixed text of several spans."""
    predictions = model.predict(np.frombuffer(_CANARY_TEXT, np.uint8), np.array(_CANARY_STARTS))
    return hashlib.blake2b(predictions.table.cumulative_RC.astype("<u4").tobytes(), digest_size=16).hexdigest()


def pack(config: ModelConfig, weights: Mapping[str, Tensor], numbers: Numbers) -> Artifact:
    shape = {name: value for name, value in dataclasses.asdict(config).items() if value != _DEFAULTS[name]}
    values = {"counts": _COUNTS, **dataclasses.asdict(numbers)}
    return {
        WEIGHTS: safetensors.torch.save({name: weight.contiguous() for name, weight in weights.items()}),
        SHAPE: rendered_json(shape),
        NUMBERS: rendered_json(values),
    }


def unpack(artifact: Artifact) -> tuple[NeuralModel, Numbers]:
    """The model and its numbers, after checking that its counts here are those it was fitted with.

    Raises ``CodecError``.
    """
    if set(artifact) != {WEIGHTS, SHAPE, NUMBERS}:
        raise CodecError(f"neural needs the artifact files {WEIGHTS}, {SHAPE} and {NUMBERS}, got {sorted(artifact)}")
    numbers = _numbers(artifact[NUMBERS])
    try:
        config = RunConfig.from_dict({"model": _object(artifact[SHAPE], SHAPE)}).model
        check_shape(config)
        weights = safetensors.torch.load(artifact[WEIGHTS])  # takes no more memory than the file's size
        _check_weights(config, weights)
        model = NeuralModel(Exact(config, weights))
    except (ConfigError, SafetensorError) as error:
        raise CodecError(
            f"neural: the artifact's model cannot be used: {error}; use the pctrain that fitted it, or fit again"
        ) from None
    found = canary(model)
    if found != numbers.canary:
        raise CodecError(
            f"neural: the model's counts on the canary text have the hash {found} here, and {numbers.canary} where it "
            "was fitted, so that neither can decode the other's symbols; restore the artifact's files, or fit again"
        )
    return model, numbers


def _check_weights(config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
    """Raises ``CodecError`` unless these are the weights of a ``Decoder`` of that shape, before any memory is taken in
    proportion to that shape."""
    wanted = _shapes(config) if config.layers <= len(weights) else {}
    if {name: (weight.shape, weight.dtype) for name, weight in weights.items()} != wanted:
        raise CodecError(f"neural: {WEIGHTS} holds another model than {SHAPE} describes; restore both, or fit again")
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise CodecError(f"neural: {WEIGHTS}: {name} has weights that are not finite; restore it, or fit again")


def _shapes(config: ModelConfig) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shapes and dtypes of a decoder's weights, by name, from one layer without memory."""
    with torch.device("meta"):
        decoder = Decoder(dataclasses.replace(config, layers=1), Vocabulary({}).padded_size)
    shapes: dict[str, tuple[torch.Size, torch.dtype]] = {}
    for name, weight in decoder.named_parameters():
        numbers = range(config.layers) if name.startswith(_FIRST_LAYER) else [0]
        shapes |= {name.replace(_FIRST_LAYER, f"layers.{n}.", 1): (weight.shape, weight.dtype) for n in numbers}
    return shapes


def _numbers(data: bytes) -> Numbers:
    values = _object(data, NUMBERS)
    if values.pop("counts", None) != _COUNTS:
        raise CodecError(f"neural: {NUMBERS} is of another version than {_COUNTS}; use the pctrain that fitted it")
    n_thresholds = LONGEST_SEGMENT_BYTES - LEAST_SEGMENT_BYTES + 1
    expected = f"a canary, and {n_thresholds} thresholds, whole numbers 0 … {8 * BIT}"
    try:
        numbers: Numbers = typed(Numbers, values)
    except DatasetError as error:
        raise CodecError(f"neural: {NUMBERS} must have {expected}: {error}") from None
    if len(numbers.thresholds) != n_thresholds or not all(0 <= each <= 8 * BIT for each in numbers.thresholds):
        raise CodecError(f"neural: {NUMBERS} must have {expected}")
    return numbers


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        values = parse_json(data)
    except ValueError as error:
        raise CodecError(f"neural: {name} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise CodecError(f"neural: {name} must hold an object")
    return values
