"""Small models of patches, and what they compute by its definition: entry by entry, without a mask or a cache."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pcdata.dataset.vocab import FIRST_BYTE
from pctrain.config import ModelConfig, PatchedConfig
from pctrain.data.batch import NO_UNIT, UNITS
from pctrain.model.attention import causal, near
from pctrain.model.decoder import init_weights
from pctrain.model.patched import Patched

N_IDS = 320
SHAPE = ModelConfig(kind="patched", width=32, layers=2, attention_heads=4, kv_heads=2, hidden=48)
PATCHES = {
    "fixed": PatchedConfig(patches="fixed", length=3, reach=5),
    "spaces": PatchedConfig(patches="spaces", reach=5),
    "units": PatchedConfig(patches="triples", reach=5),
    "fixed, scratchpads": PatchedConfig(patches="fixed", length=5, reach=5, scratchpads=True, threshold=6.85),
    "spaces, scratchpads": PatchedConfig(patches="spaces", reach=30, scratchpads=True, threshold=6.85),
    "units, scratchpads": PatchedConfig(patches="triples", encoder_layers=2, reach=5, scratchpads=True, threshold=6.85),
}
"""With these thresholds an untrained model has scratchpads at some bytes, and not at others."""


def made(patched: PatchedConfig, seed: int = 0) -> Patched:
    model = Patched(SHAPE, patched, N_IDS)
    init_weights(model, seed)
    with torch.no_grad():
        model.head.weight *= 1.5  # entropies that differ
    return model.eval()


def texts(rows: int, positions: int, seed: int = 0) -> Tensor:
    """Ids of words and spaces after an open mark."""
    generator = torch.Generator().manual_seed(seed)
    letters = torch.tensor([*b"abcdefghij  \n_("]) + FIRST_BYTE
    ids = letters[torch.randint(0, len(letters), (rows, positions), generator=generator)]
    ids[:, 0] = 3
    return ids


def units_of(ids_RT: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Units of one to four bytes, as in a batch; none for marks."""
    generator = torch.Generator().manual_seed(seed)
    begins_RT = torch.rand(ids_RT.shape, generator=generator) < 0.4
    return {UNITS: torch.where(ids_RT < FIRST_BYTE, NO_UNIT, begins_RT.cumsum(1))}


def slowly(model: Patched, ids_T: Tensor, units_T: Tensor | None = None) -> tuple[Tensor, list[int], list[int]]:
    """Hidden states of one sample [T, D], and the positions of patches and scratchpads."""
    count = len(ids_T)
    layers, positions = [*model.layers], torch.arange(count)[None]
    patched, bounds = model.patched, [0]
    for number in (patched.encoder_layers, 2 * patched.scratchpads, model.config.layers, patched.decoder_layers):
        bounds.append(bounds[-1] + number)
    bounds[3] = len(layers) - patched.decoder_layers
    encoder, entropy, middle, decoder = (layers[a:b] for a, b in zip(bounds, [*bounds[1:4], len(layers)], strict=False))

    def through(some: list[torch.nn.Module], x: Tensor, at: Tensor, visible: Tensor) -> Tensor:
        for layer in some:
            x = layer(x, model._rotation(at), visible, None)
        return x

    nearby = near(count, count, patched.reach, torch.device("cpu"))
    x_1TD = through(encoder, model.embed(ids_T)[None], positions, nearby)
    ends = [t for t in range(count) if ends_here(model, ids_T, units_T, t)]
    pads: list[int] = []
    if model.entropy_norm is not None:
        logits = model.raw_logits(model.entropy_norm(through(entropy, x_1TD, positions, nearby)))[0]
        bits_T = torch.distributions.Categorical(logits=logits).entropy() / math.log(2)
        pads = [t for t in range(count) if bits_T[t] >= model.threshold and t not in ends]
    added: list[Tensor] = []
    for t in range(count):
        if t in ends or t in pads:
            before = torch.tensor([*(end for end in ends if end < t), t])
            seen = causal(len(before), len(before), torch.device("cpu"))
            after = through(middle, x_1TD[:, before], before[None], seen)[0, -1]
            added.append(after - x_1TD[0, t])
        else:
            added.append(added[-1])
    return model.norm(through(decoder, x_1TD + torch.stack(added), positions, nearby))[0], ends, pads


def ends_here(model: Patched, ids_T: Tensor, units_T: Tensor | None, t: int) -> bool:
    """Whether a patch ends at position ``t``."""
    if t == 0 or ids_T[t] < FIRST_BYTE:
        return True
    if units_T is not None:
        return bool(units_T[t] != units_T[t - 1])
    if model.patched.patches == "fixed":
        return (t + 1) % model.patched.length == 0
    spacelike = [not chr(int(i) - FIRST_BYTE).isalnum() if i >= FIRST_BYTE else True for i in (ids_T[t - 1], ids_T[t])]
    return spacelike == [False, True]
