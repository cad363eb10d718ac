"""Every setting of a run, as frozen dataclasses; presets, ``--config`` files and ``--set`` fill them.

Precedence: defaults below, then the preset, then ``--config``, then ``--set``. The resolved configuration is saved with
the run.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pctrain.errors import ConfigError

MODES = ("raw", "compressed", "mixed", "translation", "parallel", "splice")
PAIR_ORDERS = ("random", "raw_first", "compressed_first")
COLUMNS = ("path", "lang", "source")
"""The metadata that documents can be chosen by."""
_WIDEST, _DEEPEST, _MOST_ROWS = 1 << 20, 4096, 1 << 24


def _at_least(name: str, value: float, low: float) -> None:
    if not low <= value < math.inf:  # nor is it nan
        raise ConfigError(f"{name} must be at least {low}, got {value}")


def _at_most(name: str, value: float, high: float) -> None:
    """Limits far above what anybody trains: a run's settings may be a stranger's, and memory goes by them."""
    if value > high:
        raise ConfigError(f"{name} must be at most {high:,}, got {value:,}")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be 0 … 1, got {value}")


@dataclass(frozen=True)
class DataConfig:
    """How documents become batches."""

    seq_len: int = 1024
    """Predicted positions per row; a row holds seq_len + 1 symbols."""
    rows: int = 16
    """Rows of a global batch, over all ranks and micro-batches."""
    window_blocks: int = 16
    """Documents are shuffled within a window of this many blocks (record batches) of the shuffled block order."""
    shuffle_rows: int = 32_768
    """Rows are shuffled within windows of so many rows of the stream, in whole batches; 0 shows them in its order, in
    which a document that is longer than a row fills many rows one after the other. A window holds lengths and places,
    not symbols: about 1 kB a row. It ends where a phase of the mixture does, and is shorter while the share moves."""
    views: dict[str, float] = field(default_factory=dict)
    """Compressed views and their weights; empty means all views of the dataset, equally."""
    weights: dict[str, float] = field(default_factory=dict)
    """How often a document is drawn from each of several datasets, by the names of their folders; 1 where none is
    given. A dataset has epochs of its own: one that is small for its weight comes around sooner."""
    where: dict[str, list[str]] = field(default_factory=dict)
    """Which documents are read: per column (path, lang, source) the globs of which one must match; ``*`` also matches
    ``/``, and case matters but in lang. The others are passed over: an epoch is every document once, read or not."""
    placebo: bool = False
    """Permute the compressed symbols of each document: the control that tells what a view taught from what as many
    symbols of anything would have done. What such a model makes of a compressed view means nothing."""
    fresh_share: float = 0.0
    """How many of the documents shown raw alone are cut into short pieces, each a sample of its own."""
    fresh_bytes: int = 32
    """The longest such piece; its length is drawn, each from 1 on as likely as another."""
    prefetch: int = 2
    """Batches made ahead of the step by one thread; 0 makes each when it is asked for."""

    def __post_init__(self) -> None:
        for name in ("seq_len", "rows", "shuffle_rows"):
            _at_most(f"data.{name}", getattr(self, name), _MOST_ROWS)
        _at_most("data.prefetch", self.prefetch, 1000)
        _at_least("data.seq_len", self.seq_len, 8)
        _at_least("data.rows", self.rows, 1)
        _at_least("data.window_blocks", self.window_blocks, 1)
        _at_least("data.shuffle_rows", self.shuffle_rows, 0)
        _at_least("data.prefetch", self.prefetch, 0)
        _at_least("data.fresh_bytes", self.fresh_bytes, 1)
        _fraction("data.fresh_share", self.fresh_share)
        for setting in ("views", "weights"):
            for name, weight in getattr(self, setting).items():
                if not 0 < weight < math.inf:
                    raise ConfigError(f"data.{setting}.{name} must be above 0, got {weight}")
        for column, globs in self.where.items():
            if column not in COLUMNS:
                raise ConfigError(f"data.where.{column}: there is no such column; known: {', '.join(COLUMNS)}")
            if not globs:
                raise ConfigError(f"data.where.{column} names no glob: leave it out to read every document")


@dataclass(frozen=True)
class MixtureConfig:
    """Which share is shown compressed, and how, over the course of a run: up to three phases.

    The warm-up, in ``warmup_mode``, while the share rises linearly from ``initial_share`` to ``share``; then ``mode``
    at ``share``; and, if it has a length, a final decay in ``final_mode`` while the share moves linearly to
    ``final_share``. The defaults are the published schedule (Zheng et al. 2026), which has no decay.

    To end on raw bytes while the learning rate falls: ``train.schedule=wsd``, and ``mixture.decay_fraction`` the same
    as ``train.lr_decay_fraction``. Share and rate then leave their plateau in one step and fall side by side.
    """

    warmup_mode: str = "translation"
    mode: str = "mixed"
    final_mode: str = "mixed"
    warmup_fraction: float = 0.2
    """How much of all optimizer steps the warm-up takes; 0 leaves it out."""
    warmup_steps: int = 0
    """The same in steps; above 0 it takes the place of warmup_fraction."""
    decay_fraction: float = 0.0
    """How much of all optimizer steps the final decay takes; 0 leaves it out."""
    decay_steps: int = 0
    """The same in steps; above 0 it takes the place of decay_fraction."""
    initial_share: float = 0.4
    share: float = 0.9
    final_share: float = 0.0
    """What the share would be in the step after the last."""
    share_by: str = "documents"
    """What the shares count. documents, as published: of their showings, a pair being two (in the mode splice: of raw
    bytes). symbols: documents are drawn so that the share comes out, by the mean lengths in the manifest."""
    pair_order: str = "random"
    """Which view of a pair comes first: random, raw_first or compressed_first."""
    splice_bytes: int = 512
    """Mean raw bytes of a stretch in the mode splice, as near as units allow."""

    def __post_init__(self) -> None:
        allowed = {"pair_order": PAIR_ORDERS, "share_by": ("documents", "symbols")}
        allowed |= dict.fromkeys(("warmup_mode", "mode", "final_mode"), MODES)
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"mixture.{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("warmup_fraction", "decay_fraction", "initial_share", "share", "final_share"):
            _fraction(f"mixture.{name}", getattr(self, name))
        _at_least("mixture.warmup_steps", self.warmup_steps, 0)
        _at_least("mixture.decay_steps", self.decay_steps, 0)
        _at_least("mixture.splice_bytes", self.splice_bytes, 1)


@dataclass(frozen=True)
class ModelConfig:
    """The decoder's shape."""

    width: int = 256
    layers: int = 6
    attention_heads: int = 4
    kv_heads: int = 2
    """Key/value heads, shared by attention_heads / kv_heads query heads each."""
    hidden: int = 704
    """Inner width of the SwiGLU feed-forward."""
    reach: int = 0
    """Positions that a layer looks at, its own among them; 0: all before it. With a reach there is no rotation: how far
    away something is counts by a learnt bias per head, so that what a position makes of its surroundings does not
    depend on where in the row it stands."""
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    heads: int = 1
    """Heads that predict the next symbol, the one after it, and so on, each over all ids."""
    raw_heads: int = 0
    """The same for raw bytes, over the raw ids alone: as many symbols ahead; 0, or more than ``heads``."""
    embed_init_std: float = 0.0
    """Standard deviation of the embedding's first weights; 0: 1/√width."""
    layer_init_std: float = 0.0
    """The same of every matrix in a layer; 0: 1/√inputs, and less for the two that write to the residual stream."""
    head_init_std: float = 0.0
    """The same of the output matrices; 0: 1/√width. With ``tie_embeddings`` that of all ids is the embedding."""

    def __post_init__(self) -> None:
        for name in ("width", "layers", "attention_heads", "kv_heads", "hidden", "heads"):
            _at_least(f"model.{name}", getattr(self, name), 1)
        for name in ("width", "attention_heads", "kv_heads", "hidden", "reach"):
            _at_most(f"model.{name}", getattr(self, name), _WIDEST)
        for name in ("layers", "heads", "raw_heads"):
            _at_most(f"model.{name}", getattr(self, name), _DEEPEST)
        _at_least("model.reach", self.reach, 0)
        _at_least("model.raw_heads", self.raw_heads, 0)
        _at_least("model.rope_base", self.rope_base, 1)
        for name in ("embed_init_std", "layer_init_std", "head_init_std"):
            _at_least(f"model.{name}", getattr(self, name), 0)
        if not 0 < self.norm_eps < 1:
            raise ConfigError(f"model.norm_eps must be above 0 and below 1, got {self.norm_eps}")
        if self.raw_heads and self.raw_heads <= self.heads:
            raise ConfigError(
                f"model.raw_heads must be 0 or more than model.heads={self.heads}, whose heads predict raw bytes too; "
                f"got {self.raw_heads}"
            )
        if self.width % self.attention_heads or (self.width // self.attention_heads) % 2:
            raise ConfigError(
                f"model.width must be an even multiple of model.attention_heads, "
                f"got {self.width} and {self.attention_heads}"
            )
        if self.attention_heads % self.kv_heads:
            raise ConfigError(
                f"model.attention_heads must be a multiple of model.kv_heads, "
                f"got {self.attention_heads} and {self.kv_heads}"
            )


@dataclass(frozen=True)
class TrainConfig:
    """The loop and its optimizer: AdamW, whose beta1, beta2, eps, weight_decay, clip and lr_final are as published
    (Zheng et al. 2026)."""

    steps: int = 1000
    lr: float = 1e-3
    lr_final: float = 0.1
    """The learning rate ends at this fraction of lr."""
    lr_warmup_steps: int = 50
    schedule: str = "cosine"
    """cosine, or wsd: constant, then linear to lr_final over the last lr_decay_fraction of the steps."""
    lr_decay_fraction: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-15
    weight_decay: float = 0.1
    """How fast what decays does: a step takes lr · weight_decay of it."""
    weight_decay_on: str = "matrices"
    """What decays. matrices: those of the layers and the output; not embeddings, norms, and biases by distance (reach).
    all, as published: these too, where a norm's weights decay to 1 and not to 0."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 leaves it alone."""
    bad_step: str = "stop"
    """What becomes of a step whose loss or gradient is not finite, or too large: ``stop`` the run, or ``skip`` what
    would be learnt from it. Either names the step and its documents; too many in a row stop the run anyway."""
    largest_norm: float = 0.0
    """A gradient of a larger norm, before it is clipped, makes a bad step; 0: none is too large."""
    largest_loss: float = 0.0
    """So does a larger loss, in nats per target; a new model's is the logarithm of its number of ids. 0: none is."""
    softmax: str = "all"
    """What a target is predicted among: ``all`` ids, or the marks and its ``own`` view's symbols."""
    micro_rows: int = 0
    """Rows of one forward pass; 0 means all of a rank's rows."""
    replicas: int = 1
    """Of several processes, how many groups that each share all the weights (as on one machine); 1: all of them do."""
    activation_checkpointing: bool = False
    """Keep only what enters each layer, and compute the rest again on the way back: less memory, a third more time."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, or cuda:N."""
    dtype: str = "auto"
    """float32 or bfloat16 (autocast); auto is bfloat16 on a GPU, float32 on a CPU."""
    compile: bool = False
    attention: str = "auto"
    """sdpa (a mask of bools), flex (on a GPU alone), or auto: flex where it can."""
    peak_flops: float = 0.0
    """Floating-point operations that a device can do in a second, for the utilisation in the log; 0 measures it."""
    log_every: int = 10
    eval_every: int = 100
    """Steps between measurements of raw bits per byte on the fixed slice of val; 0 means only at the end."""
    eval_bytes: int = 65_536
    """How many raw bytes of val that slice holds, at most: in windows of a row each, evenly spread over all of val."""
    checkpoint_every: int = 200
    keep_last: int = 2
    """Checkpoints kept, besides the best."""

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "checkpoint_every", "keep_last", "eval_bytes", "replicas"):
            _at_least(f"train.{name}", getattr(self, name), 1)
        not_below_0 = ("lr_warmup_steps", "clip", "micro_rows", "eval_every", "weight_decay", "eps", "peak_flops")
        for name in (*not_below_0, "largest_norm", "largest_loss"):
            _at_least(f"train.{name}", getattr(self, name), 0)
        for name in ("lr_final", "lr_decay_fraction"):
            _fraction(f"train.{name}", getattr(self, name))
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"train.{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 < self.lr < math.inf:
            raise ConfigError(f"train.lr must be above 0, got {self.lr}")
        if self.schedule not in ("cosine", "wsd"):
            raise ConfigError(f"train.schedule must be cosine or wsd, got {self.schedule!r}")
        if self.bad_step not in ("stop", "skip"):
            raise ConfigError(f"train.bad_step must be stop or skip, got {self.bad_step!r}")
        if self.weight_decay_on not in ("matrices", "all"):
            raise ConfigError(f"train.weight_decay_on must be matrices or all, got {self.weight_decay_on!r}")
        if self.softmax not in ("all", "own"):
            raise ConfigError(f"train.softmax must be all or own, got {self.softmax!r}")
        if self.attention not in ("auto", "sdpa", "flex"):
            raise ConfigError(f"train.attention must be auto, sdpa or flex, got {self.attention!r}")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise ConfigError(f"train.dtype must be auto, float32 or bfloat16, got {self.dtype!r}")


@dataclass(frozen=True)
class RunConfig:
    """All of it."""

    data: DataConfig = DataConfig()
    mixture: MixtureConfig = MixtureConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Raises ``ConfigError`` naming an unknown setting or a value of the wrong type."""
        config: RunConfig = typed(cls, values, "")
        return config


def resolve(preset: str | None, file: Path | None, settings: Iterable[str]) -> RunConfig:
    """Merge the preset, a TOML file and ``section.name=value`` settings over the defaults."""
    from pcdata.dataset.json_files import parse_toml  # imports numpy, which pctrain --help does without

    values: dict[str, Any] = {}
    if preset is not None:
        values = _merged(values, parse_toml(preset_text(preset).encode()))
    if file is not None:
        try:
            values = _merged(values, parse_toml(file.read_bytes()))
        except OSError as error:
            raise ConfigError(f"--config {file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"--config {file} is not TOML: {error}") from error
    for setting in settings:
        values = _merged(values, _parse_setting(setting))
    return RunConfig.from_dict(values)


def presets() -> list[str]:
    """The names of the presets that come with the package."""
    folder = resources.files("pctrain") / "presets"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """The TOML of a preset. Raises ``ConfigError`` with the names there are."""
    if name not in presets():
        raise ConfigError(f"unknown preset {name!r}; known: {', '.join(presets())}")
    return (resources.files("pctrain") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def _parse_setting(setting: str) -> dict[str, Any]:
    from pcdata.dataset.json_files import parse_json_text  # likewise

    key, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting}: expected section.name=value")
    try:
        value = parse_json_text(text)
    except (ValueError, RecursionError):
        value = text
    for part in reversed(key.split(".")):
        value = {part: value}
    result: dict[str, Any] = value
    return result


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(low)
    for key, value in high.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def typed(cls: Any, values: Any, where: str) -> Any:
    """Make a config dataclass from plain values, checking names and types on the way."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a section of settings, got {values!r}")
    hints = typing.get_type_hints(cls)
    made: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{where}.{name}" if where else name
        if name not in hints:
            inside = [f"{section}.{name}" for section, hint in hints.items() if name in _names(hint)]
            meant = f"did you mean {' or '.join(inside)}?" if inside else f"known here: {', '.join(hints)}"
            raise ConfigError(f"unknown setting {key}; {meant}")
        made[name] = _value(hints[name], value, key)
    return cls(**made)


def _names(hint: Any) -> list[str]:
    """The settings of a section; of a plain setting, none."""
    return [each.name for each in dataclasses.fields(hint)] if dataclasses.is_dataclass(hint) else []


def _value(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return typed(hint, value, key)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} must be a table, got {value!r}")
        return {name: _value(arguments[1], item, f"{key}.{name}") for name, item in value.items()}
    if origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"{key} must be a list, got {value!r}")
        return [_value(arguments[0], item, key) for item in value]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{key} must be {hint.__name__}, got {value!r}")
    return value
