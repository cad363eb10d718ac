"""A model of patches computes what its definition says, looks back only, and within its sample only."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcdata.dataset.vocab import BOS, FIRST_BYTE, PAD, RAW_CLOSE, RAW_IDS, RAW_OPEN, RAW_VIEW
from pctrain.config import PatchedConfig
from pctrain.data.batch import IGNORE, NO_UNIT, UNITS
from pctrain.errors import ConfigError
from pctrain.inference.generate import Generation, Sampling
from pctrain.model.decoder import Decoder, Inputs
from pctrain.model.loss import Objective
from pctrain.model.patched import Patched, move_threshold
from pctrain.model.patcher import PATCHERS, Bytes, at_units, ends_of_patches
from pctrain.model.scoring import Windowing, scores
from pctrain.model.scoring import cut as cut_windows
from tests.model.made_patched import N_IDS, PATCHES, SHAPE, made, slowly, texts, units_of

WITHOUT_UNITS = [name for name in PATCHES if not name.startswith("units")]


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=2e-5)


@pytest.fixture(params=PATCHES)
def model(request: pytest.FixtureRequest) -> Patched:
    return made(PATCHES[request.param])


def cut(text: bytes, name: str, length: int = 4) -> list[bytes]:
    ids = torch.tensor([[FIRST_BYTE + byte for byte in text]])
    before, positions = torch.full((1, 1), RAW_OPEN), torch.arange(1, 1 + len(text))[None]
    ends = ends_of_patches(PATCHERS[name](length), Bytes(ids, before, positions, torch.ones_like(ids), None))
    bounds = [0, *(torch.nonzero(ends[0])[:, 0] + 1).tolist(), len(text)]
    return [text[a:b] for a, b in pairwise(bounds) if a < b]


def test_patches_end_where_the_papers_say() -> None:
    assert cut(b"def f(x2):  return x_y\n", "spaces") == [b"def ", b"f(", b"x2)", b":  return ", b"x_", b"y\n"]
    assert cut("né 猫a".encode(), "spaces") == [b"n\xc3", b"\xa9 ", b"\xe7\x8c\xaba"]
    assert cut(b"abcdefghij", "fixed") == [b"abc", b"defg", b"hij"], "counted from the open mark"


@given(data=st.data(), name=st.sampled_from([*PATCHERS, "units"]))
def test_a_patcher_looks_back_only(data: st.DataObject, name: str) -> None:
    length = data.draw(st.integers(1, 12))
    column = st.lists(st.integers(0, RAW_IDS - 1), min_size=length, max_size=length)
    seen, other = (
        Bytes(
            torch.tensor([data.draw(column)]),
            torch.full((1, 1), PAD),
            torch.arange(length)[None],
            torch.ones(1, length),
            torch.tensor([data.draw(column)]),
        )
        for _ in range(2)
    )
    same = data.draw(st.integers(0, length))
    later = Bytes(
        *(
            torch.cat([a[:, :same], b[:, same:]], 1) if a is not None and a.shape[1] == length else a
            for a, b in zip(seen, other, strict=True)
        )
    )
    patcher = at_units if name == "units" else PATCHERS[name](3)
    assert torch.equal(ends_of_patches(patcher, seen)[:, :same], ends_of_patches(patcher, later)[:, :same])


def test_no_prediction_depends_on_a_later_byte_or_unit(model: Patched) -> None:
    ids = texts(1, 24)
    units = units_of(ids)
    before = model.hidden(ids, extras=units)
    for changed in range(1, 24):
        other, other_units = ids.clone(), units[UNITS].clone()
        other[0, changed] = FIRST_BYTE + (7 if ids[0, changed] == FIRST_BYTE + 32 else 32)
        other_units[0, changed:] = units_of(ids, 1)[UNITS][0, changed:] + 99
        after = model.hidden(other, extras={UNITS: other_units})
        assert close(before[:, :changed], after[:, :changed])
        assert not close(before[:, changed], after[:, changed])


@pytest.mark.parametrize("name", PATCHES)
def test_it_computes_what_the_definition_says_and_has_its_gradients(name: str) -> None:
    model, ids = made(PATCHES[name]), texts(3, 30)
    units = units_of(ids)
    of_each = [units[UNITS][row] if name.startswith("units") else None for row in range(3)]
    slow = [slowly(model, *given) for given in zip(ids, of_each, strict=True)]
    hidden = model.hidden(ids, extras=units)
    assert close(hidden, torch.stack([states for states, _, _ in slow]))
    counts = model.counts()
    assert counts is not None
    n_pads = sum(len(pads) for _, _, pads in slow)
    assert counts == (90, sum(len(ends) for _, ends, _ in slow), n_pads)
    assert 10 < n_pads < 60 if "scratchpads" in name else n_pads == 0
    weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
    parameters = [*model.parameters()]
    gradients = [
        torch.autograd.grad((states * weights).sum(), parameters, allow_unused=True, materialize_grads=True)
        for states in (hidden, torch.stack([states for states, _, _ in slow]))
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4 * max(1, float(theirs.abs().max())))


def test_with_patches_of_one_byte_it_is_a_decoder() -> None:
    model = made(PatchedConfig(patches="fixed", length=1, reach=40))
    decoder = Decoder(dataclasses.replace(SHAPE, layers=4), N_IDS)
    decoder.load_state_dict(model.state_dict())
    ids = texts(2, 40)
    assert close(model(ids), decoder(ids))
    assert not close(made(PatchedConfig(patches="fixed", length=2, reach=40))(ids), decoder(ids))


def test_samples_of_a_row_are_as_alone(model: Patched) -> None:
    samples = torch.tensor([[1] * 9 + [2] * 4 + [3] * 12 + [0] * 5, [1] * 30])
    positions = torch.cat([torch.arange(n) for n in (9, 4, 12, 5, 30)]).view(2, 30)
    ids = texts(2, 30)
    ids[0, 9], ids[0, 13], ids[0, 25:] = RAW_OPEN, FIRST_BYTE + 65, PAD
    units = units_of(ids)
    together = model.hidden(ids, positions, samples, extras=units)
    for begin, end in ((0, 9), (9, 13), (13, 25)):
        alone = model.hidden(ids[:1, begin:end], extras={UNITS: units[UNITS][:1, begin:end]})
        assert close(together[:1, begin:end], alone)
    other = ids.clone()
    other[0, 10:13] = FIRST_BYTE + 95
    changed = model.hidden(other, positions, samples, extras=units)
    assert not close(together[0, 9:13], changed[0, 9:13])
    assert close(together[0, :9], changed[0, :9])
    assert close(together[0, 13:25], changed[0, 13:25])
    assert close(together[1], changed[1])


def test_rows_of_padding_have_finite_gradients(model: Patched) -> None:
    ids, samples = texts(2, 12), torch.tensor([[1] * 6 + [0] * 6, [0] * 12])
    ids[samples == 0] = PAD
    model.hidden(ids, torch.arange(12).expand(2, 12), samples, extras=units_of(ids)).sum().backward()
    model.zero_grad()
    ids[:], samples[:] = PAD, 0
    hidden = model.hidden(ids, torch.zeros_like(ids), samples, extras=units_of(ids))
    hidden.sum().backward()
    assert hidden.isfinite().all()
    for name, parameter in model.named_parameters():
        if name.startswith("layers") and model.entropy_norm is None:
            assert parameter.grad is not None, "all processes that share weights need a gradient"
            assert parameter.grad.isfinite().all()


def test_a_process_that_read_nothing_counts_nothing() -> None:
    """Rather than leave the others to wait for its counts."""
    assert made(PATCHES["spaces, scratchpads"]).counts() == (0, 0, 0)


@pytest.mark.parametrize(("threshold", "share"), [(math.inf, 0), (0.0, 1)])
def test_the_threshold_is_none_or_every_byte(threshold: float, share: int) -> None:
    model, ids = made(PATCHES["spaces, scratchpads"]), texts(2, 30)
    before = model.hidden(ids)
    move_threshold(model, threshold)
    model.counts(anew=True)
    assert not close(model.hidden(ids), before)
    counts = model.counts()
    assert counts is not None
    assert counts.scratchpads == share * (60 - counts.patches)
    assert counts.entries == (1 if share else counts.patches / 60)


@torch.no_grad()
def test_a_window_is_scored_with_the_units_of_its_bytes() -> None:
    model, text = made(PATCHES["units"]), np.frombuffer(b"abcdefghij", np.uint8)
    (window,) = cut_windows(text, RAW_VIEW, True, Windowing(64, 64), np.arange(10) // 3)
    (found,) = scores(model, [window], RAW_VIEW, 1, torch.device("cpu"))
    ids = torch.tensor([[BOS, RAW_OPEN, *(FIRST_BYTE + text.astype(int))]])
    units = {UNITS: torch.tensor([[NO_UNIT, NO_UNIT, *(np.arange(10) // 3)]])}
    expected = F.cross_entropy(model.logits(model.hidden(ids, extras=units))[0, 1:-1], ids[0, 2:], reduction="sum")
    assert found.full_bits == pytest.approx(float(expected) / math.log(2), rel=1e-6)


def test_a_threshold_needs_scratchpads_and_a_number() -> None:
    with pytest.raises(ConfigError, match="has no scratchpads"):
        move_threshold(made(PATCHES["spaces"]), 1.0)
    with pytest.raises(ConfigError, match="at least 0, got nan"):
        move_threshold(made(PATCHES["spaces, scratchpads"]), math.nan)


def test_the_loss_has_that_of_the_entropy_head() -> None:
    config = PATCHES["spaces, scratchpads"]
    model, ids = made(config), texts(2, 30)
    targets = torch.cat([ids[:, 1:], torch.full((2, 1), IGNORE)], 1)
    arrays = (ids, targets, torch.arange(30).expand(2, 30), torch.ones_like(ids), torch.where(targets < 0, -1, 0))
    states: list[Tensor] = []
    hidden = model.run(model.embed(ids), Inputs(arrays[0], *arrays[2:4]), states=states)
    assert model.entropy_norm is not None
    of_entropy = model.raw_logits(model.entropy_norm(states[config.encoder_layers + 2]))
    expected = [
        float(F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").detach())
        for logits in (model.logits(hidden), of_entropy)
    ]
    found = Objective(model, [])(*arrays)
    assert found.nats.detach() == pytest.approx(expected[0] + 0.1 * expected[1], rel=1e-5)
    assert found.nats_W == pytest.approx(expected[0], rel=1e-5)


@pytest.mark.parametrize("name", WITHOUT_UNITS)
@torch.no_grad()
def test_a_cache_changes_nothing_and_has_patches_only(name: str) -> None:
    for seed in range(3):
        model, ids = made(PATCHES[name]), texts(1, 50, seed)
        whole = model.hidden(ids)
        rng, cache, at = np.random.default_rng(seed), model.new_cache(51), 0
        while at < 50:
            count = min(50 - at, int(rng.choice([1, 1, 1, 4, 13])))
            shown = model.hidden(ids[:, at : at + count], cache=cache)
            assert close(shown, whole[:, at : at + count])
            at += count
            if rng.random() < 0.4:
                cache.forget(back := int(rng.integers(0, count)))
                at -= back
        model.counts(anew=True)
        model.hidden(ids)
        counts = model.counts()
        assert counts is not None
        assert cache.patches.length == counts.patches < 50
        assert cache.patches.n_bytes == counts.patches * 2 * 2 * 2 * 8 * 4, (
            "layers, keys and values, heads, width, float32"
        )
        model.hidden(ids[:, :1], cache=cache)
        assert cache.bytes.length <= PATCHES[name].reach
        assert f"{cache.patches.length} patches for 51 bytes" in cache.description


@torch.no_grad()
def without_cache(model: Patched, count: int) -> bytes:
    text = bytearray(b"ab ")
    for _ in range(count):
        logits = model(torch.tensor([[BOS, RAW_OPEN, *(FIRST_BYTE + byte for byte in text)]]))[0, -1]
        logits[:RAW_CLOSE] = logits[RAW_CLOSE + 1 : FIRST_BYTE] = -math.inf
        text.append(int(logits.argmax()) - FIRST_BYTE)
    return bytes(text[3:])


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("name", WITHOUT_UNITS)
def test_it_generates_as_without_a_cache(name: str, heads: int) -> None:
    model = Patched(dataclasses.replace(SHAPE, predict_heads=heads), PATCHES[name], N_IDS)
    weights = made(PATCHES[name], 3).state_dict()
    model.load_state_dict({**model.state_dict(), **weights})
    for ahead in model.ahead:
        torch.nn.init.zeros_(ahead.turn.weight)  # each head guesses the next byte again, which is right now and then
    made_bytes = Generation(model.eval(), b"ab ", Sampling(40, 0), 64)
    assert bytes(made_bytes) == without_cache(model, 40)
    assert made_bytes.passes < 40 if heads > 1 else made_bytes.passes == 40
    assert "patches for" in made_bytes.cache


def test_units_are_not_known_before_the_text_is() -> None:
    with pytest.raises(ConfigError, match=r"units of view .triples.*fixed or spaces"):
        bytes(Generation(made(PATCHES["units"]), b"a", Sampling(4), 16))
