"""Bytes → patches → bytes: a model whose middle layers run once per patch, and where the next byte is hard to predict.

The first layers (the encoder) and the last (the decoder) read bytes, and attend to a few before them. The middle ones,
which are most of the model, read one state per patch: that of its last byte. What they add to it is added to the states
of the bytes from there on, until the next patch ends. With patches of one byte this is an ordinary decoder, weight for
weight; with longer ones, bytes are predicted from a context that lags behind by up to a patch.

Scratchpads (arXiv 2605.09630) refresh that context within a patch. Where two more layers on top of the encoder predict
a next byte of high entropy, the state of the last byte so far goes through the middle layers, too. It attends to the
patches before it, and nothing attends to it, so it is in no cache.

Legend: R rows, T positions, P entries (patches and scratchpads of a row, in order), D width, S entries before, then P.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pcdata.dataset.vocab import PAD, RAW_IDS
from pctrain.config import ModelConfig, PatchedConfig
from pctrain.data.batch import IGNORE, UNITS
from pctrain.errors import ConfigError
from pctrain.model.attention import causal, near, within_reach
from pctrain.model.blocks import Cache, RMSNorm
from pctrain.model.cross_entropy import linear_cross_entropy, positions_at_once
from pctrain.model.decoder import Counts, Inputs, LanguageModel
from pctrain.model.method import Rows
from pctrain.model.patcher import PATCHERS, Bytes, at_units, ends_of_patches, exist

ENTROPY_LAYERS: Final = 2
"""More do not help, says the paper."""


class Patched(LanguageModel):
    def __init__(self, model: ModelConfig, patched: PatchedConfig, n_ids: int) -> None:
        """``model.layers`` are those over patches."""
        entropy_layers = ENTROPY_LAYERS if patched.scratchpads else 0
        counts = (patched.encoder_layers, entropy_layers, model.layers, patched.decoder_layers)
        super().__init__(dataclasses.replace(model, layers=sum(counts)), n_ids)
        bounds = [*accumulate(counts, initial=0)]
        self._encoder, self._entropy, self._middle, self._decoder = map(slice, bounds, bounds[1:])
        self.entropy_norm = RMSNorm(model.width, model.norm_eps) if patched.scratchpads else None
        self.needs_states = patched.scratchpads
        self.patched = patched
        self.threshold = patched.threshold
        """Of scratchpads, in bits; may be moved after training."""
        patcher = PATCHERS.get(patched.patches)
        self._patcher = patcher(patched.length) if patcher else at_units
        self.units = "" if patcher else patched.patches
        self._counts_of: dict[bool, Tensor] = {}
        """By whether it was training."""

    def run(
        self, x_RTD: Tensor, inputs: Inputs, cache: Cache | None = None, states: list[Tensor] | None = None
    ) -> Tensor:
        """As ``LanguageModel.run``; ``states`` are those of the layers over bytes."""
        assert cache is None or isinstance(cache, PatchCache)
        seen = self._seen(inputs, cache)
        rotation = self._rotation(seen.positions_RT)
        reach, kept = self.patched.reach, None
        if cache is None:
            visible = within_reach(seen.samples_RT, reach)
        else:
            kept = cache.bytes
            kept.keep_last(reach - 1)
            visible = near(x_RTD.shape[1], kept.length + x_RTD.shape[1], reach, x_RTD.device)
        if states is not None:
            states.append(x_RTD)
        layers = [*self.layers]
        x_RTD = self._through(layers[self._encoder], x_RTD, rotation, visible, kept, states)
        ends_RT = ends_of_patches(self._patcher, seen)
        pads_RT = torch.zeros_like(ends_RT)
        if self.entropy_norm is not None:
            ahead_RTD = self._through(layers[self._entropy], x_RTD, rotation, visible, kept, states)
            pads_RT = (self._entropies(ahead_RTD) >= self.threshold) & exist(seen) & ~ends_RT
        self._count(exist(seen), ends_RT, pads_RT)
        context_RTD = self._context(x_RTD, seen, _entries(ends_RT, pads_RT), cache)
        x_RTD = self._through(layers[self._decoder], x_RTD + context_RTD, rotation, visible, kept, states)
        if cache is not None:
            cache.add(seen.ids_RT, ends_RT, context_RTD)
        hidden_RTD: Tensor = self.norm(x_RTD)
        return hidden_RTD

    def _seen(self, inputs: Inputs, cache: PatchCache | None) -> Bytes:
        ids_RT, past = inputs.ids_RT, 0 if cache is None else cache.length
        positions_RT, samples_RT = inputs.positions_RT, inputs.samples_RT
        if positions_RT is None:
            positions_RT = torch.arange(past, past + ids_RT.shape[1], device=ids_RT.device).expand_as(ids_RT)
        if samples_RT is None:
            samples_RT = torch.ones_like(ids_RT)
        before_R1 = torch.full_like(ids_RT[:, :1], PAD) if cache is None or not past else cache.last_id
        units_RT = inputs.extras[UNITS][:, : ids_RT.shape[1]] if self.units else None
        return Bytes(ids_RT, before_R1, positions_RT, samples_RT, units_RT)

    def _count(self, *of_each: Tensor) -> None:
        sums = torch.stack([each_RT.sum() for each_RT in of_each])
        self._counts_of[self.training] = sums + self._counts_of.get(self.training, 0)

    def counts(self, *, anew: bool = False) -> Counts:
        found = self._counts_of.get(self.training)
        if anew:
            self._counts_of.pop(self.training, None)
        return Counts(0, 0, 0) if found is None else Counts(*found.tolist())

    @torch.no_grad()
    def _entropies(self, ahead_RTD: Tensor) -> Tensor:
        """Of the next raw byte or mark, in bits. [R, T]"""
        assert self.entropy_norm is not None
        at_once = positions_at_once(RAW_IDS, ahead_RTD.device)
        found = []
        for hidden_ND in self.entropy_norm(ahead_RTD).flatten(0, 1).split(at_once):
            logs_NV = self.raw_logits(hidden_ND).float().log_softmax(-1)
            found.append(-(logs_NV.exp() * logs_NV).sum(-1))
        return torch.cat(found).view(ahead_RTD.shape[:2]) / math.log(2)

    def _context(self, x_RTD: Tensor, seen: Bytes, entries: Entries, cache: PatchCache | None) -> Tensor:
        """What the middle layers add at the last entry up to each position. [R, T, D]"""
        visible = _patches_before(seen.samples_RT.gather(1, entries.at_RP), entries.stays_RP)
        before_R1D, held = torch.zeros_like(x_RTD[:, :1]), None
        if cache is not None:
            held = cache.patches
            visible = F.pad(visible, (held.length, 0), value=True)
            before_R1D = before_R1D if cache.context is None else cache.context
        entry_RPD = _rows(x_RTD, entries.at_RP)
        rotation = self._rotation(seen.positions_RT.gather(1, entries.at_RP))
        after_RPD = self._through([*self.layers][self._middle], entry_RPD, rotation, visible, held, None)
        if held is not None:
            held.keep_of_new(entries.stays_RP[0])
        return _rows(torch.cat([before_R1D, after_RPD - entry_RPD], 1), entries.number_RT)

    def notes(self, step: int, steps: int) -> list[str]:
        told = f"the patches are the units of view {self.units}: the bits of raw bytes leave out where those begin"
        return [*super().notes(step, steps), *([told] if self.units else [])]

    def loss(self, states_RTD: Sequence[Tensor], rows: Rows) -> Tensor | None:
        """That of the layers which predict the entropy; the encoder learns from it, too."""
        if self.entropy_norm is None:
            return None
        hidden_ND = self.entropy_norm(states_RTD[self._entropy.stop]).flatten(0, 1)
        targets_N1 = rows.targets_RT.flatten()[:, None]
        weights_N1 = (targets_N1 != IGNORE) * self.patched.entropy_weight
        total, _ = linear_cross_entropy(hidden_ND, self.head.weight[:RAW_IDS], targets_N1.clamp(min=0), weights_N1)
        return total

    def new_cache(self, capacity: int) -> PatchCache:
        if self.units:
            raise ConfigError(
                f"the patches of this model are the units of view {self.units!r}, which are not known before "
                f"the text is; to generate, train with patched.patches={' or '.join(PATCHERS)}"
            )
        return PatchCache(capacity, self.config.width)


def move_threshold(model: LanguageModel, bits: float | None) -> None:
    """Use another threshold of scratchpads than in training; None leaves it. Raises ``ConfigError`` for a model without
    scratchpads."""
    if bits is None:
        return
    if not isinstance(model, Patched) or model.entropy_norm is None:
        raise ConfigError("--scratchpad-threshold: this model has no scratchpads (patched.scratchpads); leave it out")
    if not bits >= 0:
        raise ConfigError(f"--scratchpad-threshold must be at least 0, got {bits}")
    model.threshold = bits


class Held(Cache):
    """Keys and values of some positions, which need not be all."""

    def __init__(self) -> None:
        super().__init__(0)

    def extend(self, layer: int, key_RGTH: Tensor, value_RGTH: Tensor) -> tuple[Tensor, Tensor]:
        old = self._kept.get(layer)
        if old is not None:
            key_RGTH, value_RGTH = (
                torch.cat([kept[:, :, : self.length], new], 2)
                for kept, new in zip(old, (key_RGTH, value_RGTH), strict=True)
            )
        self._kept[layer] = key_RGTH, value_RGTH
        return key_RGTH, value_RGTH

    def keep_last(self, count: int) -> None:
        """Before a pass: drop all but the last few."""
        begin = max(0, self.length - count)
        self._kept = {
            layer: (k[:, :, begin : self.length], v[:, :, begin : self.length]) for layer, (k, v) in self._kept.items()
        }
        self.length -= begin

    def keep_of_new(self, stays_P: Tensor) -> None:
        """After a pass: of its positions, those that stay."""
        at = self.length + torch.nonzero(stays_P)[:, 0]
        at = torch.cat([torch.arange(self.length, device=at.device), at])
        self._kept = {layer: (k[:, :, at], v[:, :, at]) for layer, (k, v) in self._kept.items()}
        self.length = len(at)

    @property
    def n_bytes(self) -> int:
        return sum(part[:, :, : self.length].nbytes for pair in self._kept.values() for part in pair)


class PatchCache(Cache):
    """Of one row: of bytes only those within reach, of patches all, of scratchpads none."""

    def __init__(self, capacity: int, width: int) -> None:
        super().__init__(capacity)
        self.bytes, self.patches = Held(), Held()
        self._ids = torch.empty(1, 0)
        self._ends = torch.empty(1, 0)
        self._contexts = torch.empty(1, 0, width)

    def add(self, ids_RT: Tensor, ends_RT: Tensor, context_RTD: Tensor) -> None:
        """Remember the positions of a pass."""
        self._ids, self._ends, self._contexts = ids_RT, ends_RT, context_RTD
        self.bytes.length += ids_RT.shape[1]
        self.length += ids_RT.shape[1]

    def forget(self, count: int) -> None:
        left = self._ids.shape[1] - count
        self.patches.forget(int(self._ends[:, left:].sum()))
        self.bytes.forget(count)
        self._ids, self._ends, self._contexts = self._ids[:, :left], self._ends[:, :left], self._contexts[:, :left]
        self.length -= count

    @property
    def last_id(self) -> Tensor:
        """[R, 1]"""
        return self._ids[:, -1:]

    @property
    def context(self) -> Tensor | None:
        """That of the last position, [R, 1, D]; None before the first."""
        return self._contexts[:, -1:] if self.length else None

    @property
    def description(self) -> str:
        return (
            f"the cache has {self.patches.length:,} patches for {self.length:,} bytes and marks: "
            f"{self.patches.n_bytes:,} bytes, and {self.bytes.n_bytes:,} for the last {self.bytes.length:,} bytes"
        )


class Entries(NamedTuple):
    """What the middle layers read, moved together: P is that of the row that has most."""

    at_RP: Tensor
    """Their positions; 0 where a row has no more."""
    stays_RP: Tensor
    """Whether it is a patch."""
    number_RT: Tensor
    """How many there are up to each position."""


def _entries(ends_RT: Tensor, pads_RT: Tensor) -> Entries:
    enters_RT = ends_RT | pads_RT
    number_RT = enters_RT.cumsum(1)
    most = max(1, int(number_RT.max()))
    places_RT = torch.arange(enters_RT.shape[1], device=enters_RT.device).expand_as(enters_RT)
    at_RP = places_RT.new_zeros(len(enters_RT), most + 1)
    at_RP.scatter_(1, torch.where(enters_RT, number_RT - 1, most), places_RT)
    at_RP = at_RP[:, :most]
    exists_RP = torch.arange(most, device=at_RP.device) < number_RT[:, -1:]
    return Entries(at_RP, ends_RT.gather(1, at_RP) & exists_RP, number_RT)


def _patches_before(samples_RP: Tensor, stays_RP: Tensor) -> Tensor:
    """Each entry attends to itself and to the patches of its sample before it. [R, 1, P, P]"""
    n = samples_RP.shape[1]
    same_RPP = samples_RP[:, :, None] == samples_RP[:, None, :]
    patches_RPP = same_RPP & stays_RP[:, None, :] & causal(n, n, samples_RP.device)
    return (patches_RPP | torch.eye(n, dtype=torch.bool, device=samples_RP.device))[:, None]


def _rows(x_RSD: Tensor, at_RP: Tensor) -> Tensor:
    """The states at some places. [R, P, D]"""
    firsts_R1 = torch.arange(len(x_RSD), device=x_RSD.device)[:, None] * x_RSD.shape[1]
    return F.embedding(at_RP + firsts_R1, x_RSD.flatten(0, 1))
