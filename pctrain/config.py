"""Every setting of a run, as frozen dataclasses; presets, ``--config`` files and ``--set`` fill them.

Precedence: defaults below, then the preset, then ``--config``, then ``--set``. The resolved configuration is saved with
the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, cast

from pcdata.errors import DatasetError, meant
from pctrain.errors import ConfigError
from pctrain.settings import Layer, Section, check_names, current, merged, parsed, rules, setting

MODES = ("raw", "compressed", "mixed", "translation", "parallel", "splice")
COLUMNS = ("path", "lang", "source")
"""The metadata by which documents can be selected."""

_WIDEST, _DEEPEST, _MOST_ROWS = 1 << 20, 4096, 1 << 24
"""Far more than anybody trains. A run's settings may come from a stranger, and they decide how much memory is used."""


@dataclass(frozen=True)
class DataConfig(Section, section="data"):
    """How documents become batches."""

    seq_len: int = setting(1024, least=8, most=_MOST_ROWS, fixed=True)
    """Predicted positions per row; a row holds seq_len + 1 symbols."""
    rows: int = setting(16, least=1, most=_MOST_ROWS, fixed=True)
    """Rows of a global batch, over all ranks and micro-batches."""
    window_blocks: int = setting(16, least=1, fixed=True)
    """Documents are shuffled within a window of this many blocks (record batches) of the shuffled block order."""
    shuffle_rows: int = setting(32_768, least=0, most=_MOST_ROWS, fixed=True)
    """Rows are shuffled within windows of this many rows of the stream, in whole batches. 0 keeps the stream's order,
    in which a document longer than a row fills many consecutive rows. A window holds lengths and positions, not
    symbols: about 1 kB per row. It ends with a phase of the mixture, and is shorter while the share changes."""
    views: dict[str, float] = setting({}, above=0)
    """Compressed views and their weights; empty means all views of the dataset, equally."""
    weights: dict[str, float] = setting({}, above=0)
    """How often a document is drawn from each of several datasets, by the names of their folders; 1 for those not
    listed. Each dataset has its own epochs: one that is small for its weight is repeated more often."""
    where: dict[str, list[str]] = setting({}, fixed=True)
    """Which documents are read: per column (path, lang, source) a list of globs, one of which must match. ``*`` also
    matches ``/``; case matters except in lang. Other documents are skipped: an epoch passes every document once, read
    or not."""
    placebo: bool = setting(False, fixed=True)
    """Permute the compressed symbols of each document. This control separates what a view teaches from what the same
    number of meaningless symbols would. Measurements of such a model on a compressed view mean nothing."""
    short_sample_share: float = setting(0.0, least=0, most=1, fixed=True)
    """The share of the raw documents that are cut into short, independent samples."""
    short_sample_bytes: int = setting(32, least=1, fixed=True)
    """The longest short sample; lengths are drawn uniformly from 1 to this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for column, globs in self.where.items():
            if column not in COLUMNS:
                raise ConfigError(f"data.where.{column}: no such column; known: {', '.join(COLUMNS)}")
            if not globs:
                raise ConfigError(f"data.where.{column} has no glob: leave it out to read every document")


@dataclass(frozen=True)
class MixtureConfig(Section, section="mixture"):
    """Which share of the data is compressed, and in which mode, over the course of a run: up to three phases.

    First the warm-up in ``warmup_mode``, while the share rises linearly from ``warmup_share`` to ``share``; then
    ``mode`` at ``share``; finally, if it has a length, the decay in ``decay_mode``, while the share moves linearly to
    ``decay_share``. The defaults are the published schedule (Zheng et al. 2026), which has no decay.

    To end on raw bytes while the learning rate falls, set ``optim.schedule=wsd`` and ``mixture.decay_fraction`` to
    ``optim.lr_decay_fraction``. Share and learning rate then start to change in the same step.
    """

    warmup_mode: str = setting("translation", choices=MODES)
    mode: str = setting("mixed", choices=MODES)
    decay_mode: str = setting("mixed", choices=MODES)
    warmup_fraction: float = setting(0.2, least=0, most=1)
    """Fraction of the optimizer steps in the warm-up; 0 leaves it out."""
    warmup_steps: int = setting(0, least=0)
    """The same in steps; if above 0, it replaces warmup_fraction."""
    decay_fraction: float = setting(0.0, least=0, most=1)
    """Fraction of the optimizer steps in the final decay; 0 leaves it out."""
    decay_steps: int = setting(0, least=0)
    """The same in steps; if above 0, it replaces decay_fraction."""
    warmup_share: float = setting(0.4, least=0, most=1)
    """The share at the first step of the warm-up."""
    share: float = setting(0.9, least=0, most=1)
    decay_share: float = setting(0.0, least=0, most=1)
    """The share at the end of the decay: what it would be in the step after the last."""
    share_by: str = setting("documents", choices=("documents", "symbols"))
    """What the shares count. documents, as published: the samples that documents make, of which a pair makes two (in
    mode splice: raw bytes). symbols: documents are drawn so that this share of the symbols is compressed, by the mean
    lengths in the manifest."""
    pair_order: str = setting("random", choices=("random", "raw_first", "compressed_first"))
    """Which view of a pair comes first."""
    splice_bytes: int = setting(512, least=1)
    """Mean raw bytes of a stretch in mode splice, as nearly as units allow."""


@dataclass(frozen=True)
class SuperpositionConfig(Section, section="superposition", fixed=True):
    """Token superposition (*Efficient Pre-Training with Token Superposition*, arXiv 2605.06546): in the first part of a
    run, a position holds a bag of symbols. Its input is the mean of their embeddings, and its target is the next bag.
    """

    bag: int = setting(0, least=0, most=255)
    """Symbols of a bag; 0: no superposition. With ``units``, the most that a bag holds: longer units are cut."""
    fraction: float = setting(0.3, least=0, most=1)
    """Fraction of the optimizer steps in which all documents appear in bags. The phases of the mixture follow."""
    view: str = setting("")
    """The view whose symbols are put into bags; empty: raw bytes."""
    units: str = setting("")
    """The view whose units are the bags of raw bytes; empty: bags of equal length."""
    mixture: bool = setting(False)
    """Whether the view ``units`` appears in bags of raw bytes, instead of its own symbols, in the mixture too."""
    weights: str = setting("equal", choices=("equal", "power"))
    """The weight of each symbol of a target: equal, or falling as 1, 1/2, 1/3 …, which helps bags of 8 and more."""
    order: str = setting("none", choices=("none", "in", "both"))
    """Whether learnt gains per place keep the order of the symbols of a bag: of inputs, or of targets too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bag == 1:
            raise ConfigError("superposition.bag must be 0 (none) or at least 2, got 1")
        if not self.bag and (self.view or self.units):
            raise ConfigError("superposition.view and superposition.units need superposition.bag: how many symbols")
        if self.units and self.view:
            raise ConfigError("superposition.view and superposition.units exclude each other; leave one out")
        if self.mixture and not self.units:
            raise ConfigError("superposition.mixture needs superposition.units: the view that appears in bags")

    @property
    def steps_fraction(self) -> float:
        """Fraction of the steps in bags."""
        return self.fraction if self.bag else 0.0

    @property
    def replaced(self) -> Collection[str]:
        """The view that appears in bags of raw bytes, instead of its own symbols."""
        return (self.units,) if self.mixture else ()

    @property
    def name(self) -> str:
        """Of the view of bags, in logs and cursors: no view of a dataset can have it."""
        return self.units if self.mixture else f"{self.view or 'raw'}:{self.units or self.bag}"


@dataclass(frozen=True)
class AlignmentConfig(Section, section="alignment"):
    """Where a unit of a pair ends, its raw state and its compressed state are drawn together (``methods.alignment``).
    Pairs appear in the modes translation and parallel."""

    weight: float = setting(0.0, least=0)
    """Of the loss, in nats per unit of a pair; 0: none."""
    view: str = setting("")
    """The view of the pairs; empty: the only one that the run uses. Pairs of other views are left alone."""
    distance: str = setting("contrast", choices=("contrast", "cosine"))
    """contrast: the nats of finding the unit among all units of its pair. cosine: 1 - the cosine of its two states."""
    raw_layer: int = setting(2, least=0, most=_DEEPEST)
    """The raw state is the output of this layer; 0: the embeddings."""
    view_layer: int = setting(1, least=0, most=_DEEPEST)
    """The same for the compressed state."""
    stop_gradient: str = setting("none", choices=("none", "view", "raw"))
    """The side that this loss does not move: the states of the other side are drawn to it. none: both move."""


@dataclass(frozen=True)
class BoundariesConfig(Section, section="boundaries", fixed=True):
    """Raw bytes with the boundaries of a view's units, in the first part of a run (*Decoupling the Benefits of Subword
    Tokenization*, arXiv 2604.27263). The model that remains is a plain one, and it is measured as one.
    """

    units: str = setting("")
    """The view whose units are used; empty: none of this."""
    prior: str = setting("none", choices=("none", "start", "end"))
    """Which raw bytes get a learnt vector added to their embedding: the first of each unit, or the last. ``end`` tells
    of the future, since only the next byte shows that a unit has ended: it is for training alone. So does ``start``,
    less, where a compressor looks ahead to decide what a unit is."""
    loss: str = setting("byte", choices=("byte", "unit"))
    """What counts the same in the loss: each raw byte, or each unit of a row, whose bytes share its weight."""
    suffix: int = setting(0, least=0, most=1 << 24)
    """Rows of an embedding of the symbol of the unit before a byte's own; 0: none. Give the view's number of symbols:
    with fewer rows, symbols share them."""
    distance: str = setting("byte", choices=("byte", "unit"))
    """What rotary positions count. With ``unit``, all bytes of a unit have the same position."""
    fraction: float = setting(0.3, least=0, most=1)
    """Fraction of the optimizer steps, from the first, in which these are on."""
    fade: bool = setting(False)
    """Whether they fade linearly to nothing over these steps, rather than end all at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        is_plain = (self.prior, self.loss, self.suffix, self.distance) == ("none", "byte", 0, "byte")
        if self.units and is_plain:
            raise ConfigError(
                f"boundaries.units={self.units!r} changes nothing by itself; set boundaries.prior=start, or loss, "
                "suffix or distance"
            )
        if not self.units and not is_plain:
            raise ConfigError("boundaries.prior, loss, suffix and distance need boundaries.units: the view that is cut")


@dataclass(frozen=True)
class ModelConfig(Section, section="model", fixed=True):
    """The model's shape."""

    width: int = setting(256, least=1, most=_WIDEST)
    layers: int = setting(6, least=1, most=_DEEPEST)
    attention_heads: int = setting(4, least=1, most=_WIDEST)
    kv_heads: int = setting(2, least=1, most=_WIDEST)
    """Key/value heads; attention_heads / kv_heads query heads share each."""
    hidden: int = setting(704, least=1, most=_WIDEST)
    """Inner width of the SwiGLU feed-forward."""
    reach: int = setting(0, least=0, most=_WIDEST)
    """How many positions a layer attends to, including its own; 0: all before it. With a reach, a learnt bias per head
    and distance replaces rotary positions, so the result does not depend on the position in the row."""
    rope_base: float = setting(10_000.0, least=1)
    norm_eps: float = setting(1e-5, above=0, below=1)
    tie_embeddings: bool = setting(False)
    predict_heads: int = setting(1, least=1, most=_DEEPEST)
    """Heads that predict the next symbol, the one after it, and so on, each over all ids."""
    raw_predict_heads: int = setting(0, least=0, most=_DEEPEST)
    """How many raw bytes ahead are predicted, over the raw ids alone; 0, or more than ``predict_heads``."""
    embed_init_std: float = setting(0.0, least=0)
    """Standard deviation of the embedding's initial weights; 0: 1/√width."""
    layer_init_std: float = setting(0.0, least=0)
    """The same for every matrix in a layer; 0: 1/√inputs, and less for the two that write to the residual stream."""
    head_init_std: float = setting(0.0, least=0)
    """The same for the output matrices; 0: 1/√width. With ``tie_embeddings`` the one over all ids is the embedding."""
    kind: str = setting("decoder", choices=("decoder", "patched"))
    """decoder, or patched: as the section ``patched`` says, with ``layers`` that run once per patch of bytes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.raw_predict_heads and self.raw_predict_heads <= self.predict_heads:
            raise ConfigError(
                f"model.raw_predict_heads must be 0 or more than model.predict_heads={self.predict_heads}, whose heads "
                f"predict raw bytes too; got {self.raw_predict_heads}"
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
class PatchedConfig(Section, section="patched"):
    """A model of patches of bytes (``model.kind=patched``): layers over bytes, ``model.layers`` over patches, and
    layers over bytes again; with scratchpads within patches (*Scratchpad Patching*, arXiv 2605.09630)."""

    patches: str = setting("spaces", fixed=True)
    """fixed: of equal length; spaces: ending as words do (SpaceByte, arXiv 2404.14408); or a view's name: its units."""
    length: int = setting(4, least=1, most=_WIDEST, fixed=True)
    """Bytes of a patch that is ``fixed``."""
    encoder_layers: int = setting(1, least=1, most=_DEEPEST, fixed=True)
    decoder_layers: int = setting(1, least=1, most=_DEEPEST, fixed=True)
    reach: int = setting(64, least=1, most=_WIDEST, fixed=True)
    """How many bytes a byte layer attends to, including its own."""
    scratchpads: bool = setting(False, fixed=True)
    """Whether the patch so far is shown to the layers over patches where the next byte is hard to predict."""
    threshold: float = setting(2.0, least=0)
    """In bits, of the next byte's predicted entropy: from there on there is a scratchpad. 0: at every byte."""
    entropy_weight: float = setting(0.1, least=0, fixed=True)
    """The weight in the loss of the two layers that predict the entropy."""


@dataclass(frozen=True)
class TrainConfig(Section, section="train"):
    """What is trained, and for how long."""

    steps: int = setting(1000, least=1)
    seed: int = setting(0, fixed=True)
    softmax: str = setting("all", choices=("all", "own"))
    """The ids that a target is predicted among: ``all``, or its ``own`` view's symbols and the marks."""


@dataclass(frozen=True)
class OptimConfig(Section, section="optim"):
    """AdamW and its learning rate; beta1, beta2, eps, weight_decay, clip and lr_final are as published (Zheng et al.
    2026)."""

    lr: float = setting(1e-3, above=0)
    lr_final: float = setting(0.1, least=0, most=1)
    """The learning rate ends at this fraction of lr."""
    lr_warmup_steps: int = setting(50, least=0)
    schedule: str = setting("cosine", choices=("cosine", "wsd"))
    """cosine, or wsd: constant, then linear to lr_final over the last lr_decay_fraction of the steps."""
    lr_decay_fraction: float = setting(0.2, least=0, most=1)
    beta1: float = setting(0.9, least=0, below=1)
    beta2: float = setting(0.95, least=0, below=1)
    eps: float = setting(1e-15, least=0)
    weight_decay: float = setting(0.1, least=0)
    """A step subtracts lr · weight_decay of each decaying weight."""
    weight_decay_on: str = setting("matrices", choices=("matrices", "all"))
    """What decays. matrices: those of layers and output, but not embeddings, norms and biases by distance (reach).
    all, as published: these too; a norm's weights decay to 1, not to 0."""
    clip: float = setting(1.0, least=0)
    """Largest norm of the gradient; 0: no clipping."""
    bad_step: str = setting("stop", choices=("stop", "skip"))
    """What to do in a step whose loss or gradient is not finite or too large: ``stop`` the run, or ``skip`` the update.
    Either reports the step and its documents; too many in a row stop the run anyway."""
    largest_norm: float = setting(0.0, least=0)
    """A step is bad if the norm of its gradient, before clipping, is larger; 0: no limit."""
    largest_loss: float = setting(0.0, least=0)
    """A step is bad if its loss is larger, in nats per target (a new model's is about ln(ids)); 0: no limit."""


@dataclass(frozen=True)
class RuntimeConfig(Section, section="runtime"):
    """How a step is computed; apart from rounding, none of it changes what is learnt."""

    device: str = setting("auto")
    """auto, cpu, cuda, or cuda:N."""
    dtype: str = setting("auto", choices=("auto", "float32", "bfloat16"))
    """float32 or bfloat16 (autocast); auto is bfloat16 on a GPU, float32 on a CPU."""
    compile: bool = setting(False)
    attention: str = setting("auto", choices=("auto", "sdpa", "flex"))
    """sdpa (a boolean mask), flex (on a GPU only), or auto: flex where possible."""
    micro_rows: int = setting(0, least=0)
    """Rows of one forward pass; 0 means all of a rank's rows."""
    activation_checkpointing: bool = setting(False)
    """Keep only each layer's input, and recompute the rest in the backward pass: less memory, a third more time."""
    replicas: int = setting(1, least=1)
    """With several processes: how many groups each hold all the weights (one group per machine, for example)."""
    prefetch: int = setting(2, least=0, most=1000)
    """Batches made in advance by one thread; 0 makes each on demand."""
    peak_flops: float = setting(0.0, least=0)
    """Peak floating-point operations per second of the device, for the utilisation in the log; 0 measures it."""


@dataclass(frozen=True)
class LogConfig(Section, section="log"):
    """What a run reports."""

    every: int = setting(10, least=1)
    """Steps between lines of the log."""


@dataclass(frozen=True)
class EvalConfig(Section, section="eval"):
    """Raw bits per byte on a fixed slice of val, measured during the run."""

    every: int = setting(100, least=0)
    """Steps between measurements; 0 means only at the end."""
    bytes: int = setting(65_536, least=1)
    """The most raw bytes of val in the slice: windows of one row each, evenly spread over val."""


@dataclass(frozen=True)
class CheckpointConfig(Section, section="checkpoint"):
    """When a run saves what a resume needs."""

    every: int = setting(200, least=1)
    """Steps between checkpoints."""
    keep_last: int = setting(2, least=1)
    """Checkpoints kept, besides the best."""


_OPTIM = (
    *("lr", "lr_final", "lr_warmup_steps", "schedule", "lr_decay_fraction", "beta1", "beta2", "eps", "weight_decay"),
    *("weight_decay_on", "clip", "bad_step", "largest_norm", "largest_loss"),
)
_RUNTIME = (
    *("device", "dtype", "compile", "attention", "micro_rows", "activation_checkpointing", "replicas", "peak_flops"),
)

RENAMED: Final = {
    "data.fresh_share": "data.short_sample_share",
    "data.fresh_bytes": "data.short_sample_bytes",
    "data.prefetch": "runtime.prefetch",
    "mixture.initial_share": "mixture.warmup_share",
    "mixture.final_mode": "mixture.decay_mode",
    "mixture.final_share": "mixture.decay_share",
    "model.heads": "model.predict_heads",
    "model.raw_heads": "model.raw_predict_heads",
    **{f"train.{name}": f"optim.{name}" for name in _OPTIM},
    **{f"train.{name}": f"runtime.{name}" for name in _RUNTIME},
    "train.log_every": "log.every",
    "train.eval_every": "eval.every",
    "train.eval_bytes": "eval.bytes",
    "train.checkpoint_every": "checkpoint.every",
    "train.keep_last": "checkpoint.keep_last",
}
"""Earlier names, which saved runs, files and scripts may still use."""


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run."""

    data: DataConfig = DataConfig()
    mixture: MixtureConfig = MixtureConfig()
    superposition: SuperpositionConfig = SuperpositionConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    boundaries: BoundariesConfig = BoundariesConfig()
    model: ModelConfig = ModelConfig()
    patched: PatchedConfig = PatchedConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    log: LogConfig = LogConfig()
    eval: EvalConfig = EvalConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """Raises ``ConfigError`` naming an unknown setting or a value of the wrong type."""
        from pcdata.dataset.typed_json import typed  # imports numpy, which pctrain --help must not load

        values = current(values, RENAMED)
        check_names(values, SETTINGS)
        try:
            return cast(RunConfig, typed(cls, values, partial=True))
        except DatasetError as error:
            raise ConfigError(str(error)) from None


SETTINGS: Final = {
    f"{section.name}.{name}": rule
    for section in dataclasses.fields(RunConfig)
    for name, rule in rules(type(section.default))
}
"""Every setting's rule, by its full name."""


def resolve(preset: str | None, file: Path | None, settings: Iterable[Layer]) -> RunConfig:
    """Defaults, overridden by the preset, then the TOML file, then the settings in order."""
    from pcdata.dataset.json_files import parse_toml, read_config_file  # likewise

    layers: list[Layer] = []
    if preset is not None:
        layers.append(parse_toml(preset_text(preset).encode()))
    if file is not None:
        layers.append(read_config_file(file, ConfigError))
    return RunConfig.from_dict(joined([*layers, *settings]))


def joined(layers: Iterable[Layer]) -> dict[str, Any]:
    """Several layers as one, under current names; later layers win."""
    values: dict[str, Any] = {}
    for layer in layers:
        values = merged(values, current(parsed(layer) if isinstance(layer, str) else layer, RENAMED))
    return values


def presets() -> list[str]:
    """The names of the presets that come with the package."""
    folder = resources.files("pctrain") / "presets"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """The TOML of a preset. Raises ``ConfigError`` with the known names."""
    if name not in presets():
        raise ConfigError(f"unknown preset {name!r}; {meant(name, presets())}")
    return (resources.files("pctrain") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
