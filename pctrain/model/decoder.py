"""Ids → logits: what every model here has (``LanguageModel``), and the Llama-shaped ``Decoder``.

With ``ModelConfig.reach`` layers attend to a few positions back only, and biases replace rotary positions.

Legend: R rows, T positions, S positions that can be attended to (the cached ones, then T), D width, V ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pcdata.dataset.vocab import RAW_IDS
from pctrain.config import ModelConfig
from pctrain.model.attention import Visible, causal, within_samples
from pctrain.model.blocks import Ahead, Block, Cache, RMSNorm, Rotation, rotary
from pctrain.model.method import Method, Rows, notes

METHODS: Final = "methods."
"""What the names of parameters of methods begin with."""
NO_EXTRAS: Final[Mapping[str, Tensor]] = MappingProxyType({})


class Counts(NamedTuple):
    """What a model of patches has read, without padding."""

    positions: int
    patches: int
    scratchpads: int

    @property
    def entries(self) -> float:
        """How often the layers over patches ran, per position."""
        return (self.patches + self.scratchpads) / max(1, self.positions)

    def __str__(self) -> str:
        pads = f"; a scratchpad at {self.scratchpads / self.positions:.1%} of the positions" if self.scratchpads else ""
        return f"{self.positions / max(1, self.patches):.2f} positions each on average{pads}"


class Inputs(NamedTuple):
    """What a model reads, beside the embeddings of the ids."""

    ids_RT: Tensor
    positions_RT: Tensor | None = None
    """None: they count up."""
    samples_RT: Tensor | None = None
    """None: every row is one sample."""
    extras: Mapping[str, Tensor] = NO_EXTRAS
    """By the names of ``data.batch.NO_EXTRAS``: [R, T or more, …]."""


class LanguageModel(nn.Module):
    """An embedding, layers, and heads that predict the next symbols; ``run`` says how the layers are used.

    ``n_ids`` is the vocabulary's padded size. Weights are uninitialised until ``init_weights``.
    """

    units = ""
    """The view whose units it reads besides the ids (``data.batch.UNITS``), if any."""
    needs_states = False
    """Whether ``loss`` is given the states after each layer."""

    def __init__(self, config: ModelConfig, n_ids: int) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(n_ids, config.width)
        self.layers = nn.ModuleList(Block(config, index) for index in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head = nn.Linear(config.width, n_ids, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embed.weight
        self.ahead = nn.ModuleList(
            Ahead(config.width) for _ in range(1, max(config.predict_heads, config.raw_predict_heads))
        )
        self.raw_head = nn.Linear(config.width, RAW_IDS, bias=False) if config.raw_predict_heads else None
        self.methods = nn.ModuleDict()
        """What training methods add (``Method``), by name; a trained model works without them."""
        self.recompute = False
        """Whether layers recompute their activations for backward (activation checkpointing)."""
        self.flex = False
        """Whether to use flex attention where a row has several samples."""

    def run(
        self, x_RTD: Tensor, inputs: Inputs, cache: Cache | None = None, states: list[Tensor] | None = None
    ) -> Tensor:
        """Embeddings → the input of the output layer [R, T, D]. With a ``cache`` the inputs follow its positions, and
        are added. To ``states`` are added the input of the first layer and the output of each."""
        raise NotImplementedError

    def new_cache(self, capacity: int) -> Cache:
        """For at most ``capacity`` positions of one row. Raises ``ConfigError`` if the model cannot generate."""
        raise NotImplementedError

    def counts(self, *, anew: bool = False) -> Counts | None:
        """What was read in this mode (training or not) since it was last counted ``anew``; None if all layers run at
        every position."""
        return None

    def notes(self, step: int, steps: int) -> list[str]:
        """What a measurement of the weights after ``step`` of ``steps`` steps must say."""
        return notes(self.methods, step, steps)

    def loss(self, states_RTD: Sequence[Tensor], rows: Rows) -> Tensor | None:
        """What the model learns besides its predictions; as ``Method.loss``."""
        return None

    def forward(
        self, inputs_RT: Tensor, positions_RT: Tensor | None = None, samples_RT: Tensor | None = None
    ) -> Tensor:
        """Logits [R, T, V]. Without ``samples_RT`` every row is one sample; without ``positions_RT`` they count up."""
        return self.logits(self.hidden(inputs_RT, positions_RT, samples_RT))

    def hidden(
        self,
        inputs_RT: Tensor,
        positions_RT: Tensor | None = None,
        samples_RT: Tensor | None = None,
        cache: Cache | None = None,
        extras: Mapping[str, Tensor] = NO_EXTRAS,
    ) -> Tensor:
        """The input of the output layer [R, T, D]. With a ``cache`` the inputs follow its positions, and are added."""
        return self.run(self.embed(inputs_RT), Inputs(inputs_RT, positions_RT, samples_RT, extras), cache)

    def _through(
        self,
        layers: Iterable[nn.Module],
        x_RTD: Tensor,
        rotation: Rotation,
        visible: Visible | None,
        cache: Cache | None,
        states: list[Tensor] | None,
    ) -> Tensor:
        """Some layers after each other."""
        for layer in layers:
            if self.recompute and self.training:
                x_RTD = checkpoint(layer, x_RTD, rotation, visible, cache, use_reentrant=False)
            else:
                x_RTD = layer(x_RTD, rotation, visible, cache)
            if states is not None:
                states.append(x_RTD)
        return x_RTD

    def _rotation(self, positions_RT: Tensor) -> Rotation:
        config = self.config
        return None if config.reach else rotary(positions_RT, config.width // config.attention_heads, config.rope_base)

    def logits(self, hidden: Tensor) -> Tensor:
        """[…, D] → […, V]."""
        logits: Tensor = self.head(hidden)
        return logits

    def raw_logits(self, hidden: Tensor) -> Tensor:
        """Logits of the raw ids alone, the only ones that can come next in raw bytes: […, D] → […, 320]."""
        return F.linear(hidden, self.output_weight(0)[:RAW_IDS])

    def output_weight(self, ahead: int) -> Tensor:
        """The output matrix of the head that predicts ``ahead`` symbols after the next: [V, D], or [320, D] for raw ids
        alone."""
        if ahead < self.config.predict_heads:
            return self.head.weight
        assert self.raw_head is not None
        return self.raw_head.weight

    def further_logits(self, hidden: Tensor) -> list[Tensor]:
        """Logits of the raw ids from each head after the first: […, D] → […, 320] each."""
        return [
            F.linear(further(hidden), self.output_weight(ahead)[:RAW_IDS])
            for ahead, further in enumerate(self.ahead, 1)
        ]


class Decoder(LanguageModel):
    """A Llama-shaped decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU."""

    def run(
        self, x_RTD: Tensor, inputs: Inputs, cache: Cache | None = None, states: list[Tensor] | None = None
    ) -> Tensor:
        past = cache.length if cache is not None else 0
        n_positions = x_RTD.shape[1]
        positions_RT, samples_RT = inputs.positions_RT, inputs.samples_RT
        if positions_RT is None:
            positions_RT = torch.arange(past, past + n_positions, device=x_RTD.device)[None]
        visible: Visible | None
        if samples_RT is not None:
            visible = within_samples(samples_RT, flex=self.flex and not self.config.reach)
        elif n_positions == 1 and not self.config.reach:
            visible = None
        else:
            visible = causal(n_positions, past + n_positions, x_RTD.device)
        if states is not None:
            states.append(x_RTD)
        x_RTD = self._through(self.layers, x_RTD, self._rotation(positions_RT), visible, cache, states)
        if cache is not None:
            cache.length += n_positions
        hidden_RTD: Tensor = self.norm(x_RTD)
        return hidden_RTD

    def new_cache(self, capacity: int) -> Cache:
        return Cache(capacity)


@torch.no_grad()
def init_weights(model: LanguageModel, seed: int) -> None:
    """Normal, truncated at three standard deviations. Drawn on the CPU in a fixed order, so that a seed gives the same
    model on every device."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.startswith(METHODS):
            continue
        if name.endswith("norm.weight"):
            parameter.fill_(1.0)
            continue
        if name.endswith("turn.weight"):
            parameter.zero_()
            continue
        if name.endswith("near"):
            parameter.copy_(_falling(*parameter.shape))
            continue
        deviation = _deviation(name, parameter.shape[-1], model.config)
        drawn = torch.empty(parameter.shape)
        nn.init.trunc_normal_(drawn, std=deviation, a=-3 * deviation, b=3 * deviation, generator=generator)
        parameter.copy_(drawn)
    for method in cast("Iterable[Method]", model.methods.values()):
        method.init_weights(generator)


def _deviation(name: str, inputs: int, config: ModelConfig) -> float:
    """Standard deviation of a parameter's initial weights: as in the settings, else 1/√inputs, divided by √(2·layers)
    for the two matrices that write to the residual stream. ``inputs`` is the last axis of a matrix or embedding.

    The scale is from Meta lingua, the depth factor from GPT-2 (Radford et al. 2019, section 2.3).
    """
    scaled = inputs**-0.5
    if name == "embed.weight":
        return config.embed_init_std or scaled
    if name in ("head.weight", "raw_head.weight"):
        return config.head_init_std or scaled
    if name.endswith(("attention.output.weight", "feed.down.weight")):
        scaled *= (2 * config.layers) ** -0.5
    return config.layer_init_std or scaled


def _falling(heads: int, reach: int) -> Tensor:
    """Biases that fall with the distance, by 2 to 1/32 per position, each head more gently than the one before it
    (as in Press et al. 2022, *Train Short, Test Long*, section 3, where they stay fixed). [N, reach]"""
    slopes_N = 2 ** torch.linspace(1, -5, heads)
    return -slopes_N[:, None] * torch.arange(reach)
