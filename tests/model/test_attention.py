"""Attention in blocks of a band is attention under its mask."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pctrain.model.attention import Band, attend, within_reach


@given(positions=st.integers(1, 40), reach=st.integers(1, 24), seed=st.integers(0, 99))
def test_a_band_is_its_mask(positions: int, reach: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    samples_RT = torch.randint(0, 3, (2, positions), generator=generator).sort(1).values
    query, key, value = (torch.randn(2, n, positions, 4, generator=generator, requires_grad=True) for n in (4, 2, 2))
    visible = within_reach(samples_RT, reach)
    assert isinstance(visible, Band) == (2 * reach < positions)
    apart_TS = torch.arange(positions)[:, None] - torch.arange(positions)
    same_RTS = samples_RT[:, :, None] == samples_RT[:, None, :]
    mask = (same_RTS & (apart_TS >= 0) & (apart_TS < reach))[:, None]
    found = []
    for seen in (visible, mask):
        y = attend(query, key, value, seen)
        found.append([y, *torch.autograd.grad(y.square().sum(), (query, key, value))])
    for in_blocks, masked in zip(*found, strict=True):
        assert torch.allclose(in_blocks, masked, atol=1e-5)
