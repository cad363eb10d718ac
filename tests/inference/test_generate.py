"""Generation: bytes and nothing else, the same with and without a cache, whole characters, and an end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.vocab import BOS, FIRST_BYTE, N_BYTES, RAW_CLOSE, RAW_OPEN
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError
from pctrain.inference.generate import END, Generation, Sampling, characters, draw, uniform, until
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.loss import Objective

WINDOW = 24


@pytest.fixture(scope="module")
def model() -> Decoder:
    model = Decoder(ModelConfig(width=32, layers=2, attention_heads=2, kv_heads=1, hidden=48), 384)
    init_weights(model, 3)
    return model.eval()


@torch.no_grad()
def without_cache(model: Decoder, prompt: bytes, count: int) -> bytes:
    """Greedy, by whole forward passes, with the window's rule written out anew."""
    text = bytearray(prompt)
    inputs = [BOS, RAW_OPEN, *(FIRST_BYTE + byte for byte in text)]
    if len(inputs) > WINDOW:
        inputs = [RAW_OPEN, *(FIRST_BYTE + byte for byte in text[-(WINDOW - 1) :])]
    for _ in range(count):
        logits = model(torch.tensor([inputs]))[0, -1]
        allowed = [*range(FIRST_BYTE, FIRST_BYTE + N_BYTES), RAW_CLOSE]
        best = max(allowed, key=lambda symbol: float(logits[symbol]))
        if best == RAW_CLOSE:
            break
        text.append(best - FIRST_BYTE)
        inputs.append(best)
        if len(inputs) > WINDOW:
            inputs = [RAW_OPEN, *(FIRST_BYTE + byte for byte in text[-(WINDOW // 2) :])]
    return bytes(text[len(prompt) :])


@pytest.mark.parametrize("prompt", [b"", b"def ", b"x" * 21, b"abc" * 20])
def test_greedy_equals_whole_passes_beyond_the_window(model: Decoder, prompt: bytes) -> None:
    made = bytes(Generation(model, prompt, Sampling(max_bytes=80, temperature=0), WINDOW))
    assert made == without_cache(model, prompt, 80)
    assert len(made) == 80


def test_a_seed_gives_the_same_text_and_another_gives_another(model: Decoder) -> None:
    one, two, three = (bytes(Generation(model, b"a", Sampling(60, 1.0, 0.9, seed), WINDOW)) for seed in (1, 1, 2))
    assert one == two != three


def test_the_close_mark_ends_it_and_other_marks_are_never_drawn(model: Decoder) -> None:
    ending = Decoder(model.config, 384)
    ending.load_state_dict(model.state_dict())
    with torch.no_grad():
        # A constant direction of the hidden state is not there to be used, so the marks are made likely by their norm.
        ending.head.weight[:FIRST_BYTE] = model.head.weight[FIRST_BYTE : 2 * FIRST_BYTE] * 50
    lengths = {len(bytes(Generation(ending, b"a", Sampling(60, 1.0, seed=seed), WINDOW))) for seed in range(8)}
    assert min(lengths) < 60


def test_top_p_and_temperature_choose_among_the_likeliest() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    chances = [uniform(0, index) for index in range(4000)]
    plain = np.bincount([draw(logits, Sampling(1, 1.0), chance) for chance in chances], minlength=4) / 4000
    assert np.allclose(plain, [0.5, 0.3, 0.15, 0.05], atol=0.03)
    nucleus = np.bincount([draw(logits, Sampling(1, 1.0, 0.6), chance) for chance in chances], minlength=4) / 4000
    assert np.allclose(nucleus, [0.625, 0.375, 0, 0], atol=0.03)
    cold = np.bincount([draw(logits, Sampling(1, 0.5), chance) for chance in chances], minlength=4) / 4000
    assert np.allclose(cold, np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365, atol=0.03)
    assert {draw(logits, Sampling(1, 0), chance) for chance in chances[:50]} == {0}
    assert draw(logits, Sampling(1, 1.0), 1 - 2**-53) == 3


def test_the_dice_have_golden_values() -> None:
    assert [uniform(seed, index) for seed, index in ((0, 0), (0, 1), (7, 0))] == GOLDEN


GOLDEN = [0.28951247062409136, 0.20956727580984924, 0.5168388029695854]


@given(text=st.text(), cut=st.integers(0, 3))
def test_characters_are_whole(text: str, cut: int) -> None:
    data = text.encode()
    pieces = list(characters(data[: len(data) - cut] if cut else data))
    assert all("\ufffd" not in piece for piece in pieces[:-1]) or "\ufffd" in text
    if not cut:
        assert "".join(pieces) == text


@given(data=st.binary())
def test_any_bytes_become_text(data: bytes) -> None:
    assert "".join(characters(data)) == data.decode(errors="replace")


@given(data=st.text(alphabet="ab", max_size=30), stop=st.text(alphabet="ab", max_size=4))
def test_until_ends_before_the_first_stop(data: str, stop: str) -> None:
    expected = data.split(stop)[0] if stop else data
    assert bytes(until(data.encode(), stop.encode())).decode() == expected


def test_until_holds_back_no_more_than_it_must() -> None:
    """A stream that never ends still gives what cannot belong to the stop."""
    assert bytes(itertools.islice(until(itertools.cycle(b"abc"), b"abd"), 9)) == b"abcabcabc"


@pytest.mark.parametrize("values", [{"max_bytes": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_impossible_sampling_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"--[a-z-]+ must be .*, got"):
        Sampling(**values)  # type: ignore[arg-type]


def test_end_is_beside_the_bytes() -> None:
    assert END == 256


def drafting(heads: int, raw_heads: int, seed: int) -> Decoder:
    """A model whose further heads guess right now and then: bytes follow each other in a circle of some length."""
    config = ModelConfig(
        width=32, layers=1, attention_heads=2, kv_heads=1, hidden=48, predict_heads=heads, raw_predict_heads=raw_heads
    )
    model = Decoder(config, 384)
    init_weights(model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for ahead in model.ahead:
            ahead.turn.weight.copy_(torch.randn(32, 32, generator=generator) / 8)
        model.head.weight *= 6
        if model.raw_head is not None:
            model.raw_head.weight.copy_(model.head.weight[:320])
    return model.eval()


@pytest.mark.parametrize(("heads", "raw_heads"), [(3, 0), (1, 4), (2, 3)])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_drafting_changes_the_passes_and_not_the_text(heads: int, raw_heads: int, temperature: float) -> None:
    kept = 0
    for seed in range(6):
        model = drafting(heads, raw_heads, seed)
        for prompt in (b"", b"ab", b"x" * 40):
            sampling = Sampling(50, temperature, seed=seed)
            one, several = (Generation(model, prompt, sampling, WINDOW, drafts=drafts) for drafts in (False, True))
            assert bytes(one) == bytes(several)
            assert one.bytes_made == several.bytes_made
            assert several.passes <= one.passes
            kept += one.passes - several.passes
    assert kept > 20


def test_drafts_of_a_model_that_has_learnt_are_kept() -> None:
    """Trained on one sentence over and over, each head knows what comes."""
    model, sentence = drafting(4, 0, 0).train(), b"the cat sat. "
    ids = [BOS, RAW_OPEN, *(FIRST_BYTE + byte for byte in sentence * 4)]
    row = torch.tensor([ids])
    targets = torch.cat([row[:, 1:], torch.full((1, 1), -100)], 1)
    ones, raw = torch.ones_like(row), torch.where(targets >= 0, 0, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    objective = Objective(model, [])
    for _ in range(120):
        optimizer.zero_grad()
        (objective(row, targets, torch.arange(len(ids))[None], ones, raw).nats / len(ids)).backward()
        optimizer.step()
    made = Generation(model.eval(), b"the ", Sampling(40, 0), len(ids))
    assert bytes(made) == (b"the cat sat. " * 4)[4:44]
    assert made.bytes_made / made.passes > 2.5
