"""Bytes → patches: at which bytes a patch is known to have ended.

A patch ends with a byte if the bytes up to that one say so; the next byte begins the next patch. Every mark is a patch
of its own, and so is the first position of a sample.

The units of a view may depend on later bytes: whether a BPE token ends with a byte is decided by the bytes after it.
So a patch ends with the first byte of the next unit, which is where a reader of the units learns that the last one is
over. Such a model predicts bytes *given* where units begin, which its bits per byte leave out, and cannot generate.

Legend: R rows, T positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor

from pcdata.dataset.vocab import FIRST_BYTE, PAD, RAW_IDS


class Bytes(NamedTuple):
    """What a patcher may look at."""

    ids_RT: Tensor
    before_R1: Tensor
    """The ids before the first ones; PAD at the beginning."""
    positions_RT: Tensor
    """In the sample."""
    samples_RT: Tensor
    units_RT: Tensor | None
    """The number of each byte's unit, if patches are the units of a view."""


Patcher = Callable[[Bytes], Tensor]
"""Bools [R, T], true where a patch ends. Causal: a position's value depends on nothing that comes after it."""


def ends_of_patches(patcher: Patcher, seen: Bytes) -> Tensor:
    """Bools [R, T]: where patches end, by the patcher, and at marks and at the first position of each sample. None end
    in padding."""
    ends_RT = patcher(seen) | (seen.ids_RT < FIRST_BYTE) | (seen.positions_RT == 0)
    return ends_RT & exist(seen)


def exist(seen: Bytes) -> Tensor:
    """Bools [R, T]: which positions are no padding."""
    return (seen.samples_RT != 0) & (seen.ids_RT != PAD)


def of_length(length: int) -> Patcher:
    """As in MegaByte (Yu et al. 2023, arXiv 2305.07185)."""
    return lambda seen: (seen.positions_RT + 1) % length == 0


def at_spaces(seen: Bytes) -> Tensor:
    """SpaceByte's rule (Slagle 2024, arXiv 2404.14408): a patch ends with a *spacelike* byte that does not follow
    another. Spacelike is what encodes no letter, no digit, and no continuation of a character in UTF-8."""
    spacelike = _SPACELIKE.to(seen.ids_RT.device)
    previous_RT = torch.cat([seen.before_R1, seen.ids_RT[:, :-1]], 1)
    return spacelike[seen.ids_RT] & ~spacelike[previous_RT]


def at_units(seen: Bytes) -> Tensor:
    """With the first byte of a unit. The first position ends a patch in any case."""
    assert seen.units_RT is not None
    begins_RT = torch.ones_like(seen.ids_RT, dtype=torch.bool)
    begins_RT[:, 1:] = seen.units_RT[:, 1:] != seen.units_RT[:, :-1]
    return begins_RT


PATCHERS: Final[Mapping[str, Callable[[int], Patcher]]] = {"fixed": of_length, "spaces": lambda _: at_spaces}
"""Those that need nothing but the bytes, by ``patched.patches``, made with ``patched.length``."""


def _spacelike() -> Tensor:
    """By id; marks are."""
    table = torch.ones(RAW_IDS, dtype=torch.bool)
    for byte in range(256):
        in_word = chr(byte).isalnum() if byte < 0x80 else byte < 0xC0
        table[FIRST_BYTE + byte] = not in_word
    return table


_SPACELIKE: Final = _spacelike()
