"""The same odds in any company: batch, length, piece, thread; and nearly the decoder's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES, RAW_OPEN
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError
from pctrain.neural.exact import Exact, _matrix, check_shape, exponential, silu_gap
from tests.neural.opened import SHAPES, made

MODELS = {name: made(config) for name, config in SHAPES.items()}


def ids(n: int, seed: int) -> Tensor:
    drawn = torch.randint(FIRST_BYTE, FIRST_BYTE + N_BYTES, (n,), generator=torch.Generator().manual_seed(seed))
    drawn[0] = RAW_OPEN
    return drawn


def whole(exact: Exact, inputs: Tensor) -> Tensor:
    return exact.odds(inputs, torch.zeros(len(inputs), dtype=torch.int64), exact.no_past())[0]


@pytest.mark.parametrize("name", SHAPES)
@torch.inference_mode()
def test_probabilities_are_those_of_the_decoder(name: str) -> None:
    decoder, exact = MODELS[name]
    inputs = ids(300, 1)
    odds = whole(exact, inputs)
    expected = decoder(inputs[None])[0, :, FIRST_BYTE : FIRST_BYTE + N_BYTES].double().softmax(1)
    found = odds.add(1e-9) / odds.sum(1, keepdim=True)
    lost_bits = (expected * (expected / found).log2()).sum(1)
    assert 0 < lost_bits.mean() < 0.02
    assert (expected - 1 / N_BYTES).abs().max() > 0.02


@given(name=st.sampled_from([*SHAPES]), seed=st.integers(0, 99), cuts=st.sets(st.integers(1, 279), max_size=12))
@torch.inference_mode()
def test_pieces_of_any_length_give_what_one_pass_gives(name: str, seed: int, cuts: set[int]) -> None:
    _, exact = MODELS[name]
    inputs = ids(280, seed)
    expected = whole(exact, inputs)
    past, found, first = exact.no_past(), [], 0
    for end in [*sorted(cuts), 280]:
        odds, past = exact.odds(inputs[first:end], torch.full((end - first,), -first), past)
        found.append(odds)
        first = end
    assert torch.equal(torch.cat(found), expected)


@given(name=st.sampled_from([*SHAPES]), lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12))
@torch.inference_mode()
def test_spans_laid_end_to_end_are_each_as_if_alone(name: str, lengths: list[int]) -> None:
    _, exact = MODELS[name]
    spans = [ids(length, seed) for seed, length in enumerate(lengths)]
    begins = torch.cat([torch.full((len(span),), sum(lengths[:index])) for index, span in enumerate(spans)])
    together, _ = exact.odds(torch.cat(spans), begins, exact.no_past())
    assert torch.equal(together, torch.cat([whole(exact, span) for span in spans]))


@torch.inference_mode()
def test_threads_and_the_order_of_sums_do_not_matter() -> None:
    """The matrices' columns in another order, and the products' sums with them: floats would differ."""
    config = ModelConfig(width=256, layers=1, attention_heads=4, kv_heads=4, hidden=512, reach=32)
    decoder, exact = made(config)
    inputs = ids(700, 3)
    expected = whole(exact, inputs)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert torch.equal(whole(exact, inputs), expected)
    finally:
        torch.set_num_threads(threads)
    order = torch.randperm(512, generator=torch.Generator().manual_seed(5))
    weights = dict(decoder.named_parameters())
    feed = {f"layers.0.feed.{name}.weight": weights[f"layers.0.feed.{name}.weight"][order] for name in ("gate", "up")}
    feed["layers.0.feed.down.weight"] = weights["layers.0.feed.down.weight"][:, order]
    assert torch.equal(whole(Exact(config, weights | feed), inputs), expected)
    x = torch.randn(100, 512, generator=torch.Generator().manual_seed(6))
    down = weights["layers.0.feed.down.weight"]
    assert not torch.equal(x @ down.T, x[:, order] @ down[:, order].T), "and in float32 they do"


@pytest.mark.parametrize("name", SHAPES)
@torch.inference_mode()
def test_int8_and_float64_give_the_same_odds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odds = []
    for pays in (True, False):
        monkeypatch.setattr("pctrain.neural.exact.int8_pays", lambda pays=pays: pays)
        _, exact = made(SHAPES[name])
        assert (exact._head.rows_OI.dtype is torch.int8) == pays
        odds.append(whole(exact, ids(200, 5)))
    assert torch.equal(*odds)


def test_no_table_entry_is_near_the_middle_of_two_whole_numbers() -> None:
    entries = np.array([each(step) for each in (exponential, silu_gap) for step in range(16 << 10)])
    to_the_middle = np.abs(entries - np.floor(entries) - 0.5)
    assert (to_the_middle / np.spacing(np.maximum(entries, 0.5))).min() > 100


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reach": 0}, r"model.reach must be 1 … 64 in a codec of 2 layers, .* got 0"),
        ({"reach": 65}, "together they see at most 128 bytes; got 65"),
        ({"reach": 4, "predict_heads": 2}, "a codec's model has no further heads"),
        ({"reach": 4, "width": 4096}, "model.width must be at most 2048 in a codec, got 4096"),
    ],
)
def test_a_shape_that_cannot_be_exact_is_refused(changes: dict[str, int], says: str) -> None:
    check_shape(ModelConfig(layers=2, reach=64))
    with pytest.raises(ConfigError, match=says):
        check_shape(ModelConfig(**{"layers": 2, **changes}))


def test_weights_that_are_no_numbers_are_refused() -> None:
    decoder, _ = made(SHAPES["grouped"])
    weights = dict(decoder.named_parameters())
    name = "layers.1.feed.down.weight"
    with pytest.raises(ConfigError, match=r"layers.1.feed.down: there are weights that are not finite"):
        Exact(SHAPES["grouped"], {**weights, name: weights[name] * torch.inf})


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64])
def test_products_are_those_of_whole_numbers_at_their_largest(dtype: torch.dtype) -> None:
    """Against integers: all weights and inputs at their bounds, where sums of 16 bits would overflow."""
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 2, (5, 600), generator=draw) * 2 - 1
    weights = torch.randint(0, 2, (7, 600), generator=draw) * 2 - 1
    weights[0], inputs[0] = 1, 1
    matrix = _matrix("all", weights * 63.0)
    matrix = matrix._replace(rows_OI=matrix.rows_OI.to(dtype))
    found = matrix.times(inputs.double() * 16_319)
    expected = (inputs * 16_319) @ (weights * 63).T
    assert torch.equal(found, (expected.double() * 2.0**3).round())
    assert int(expected.max()) == 600 * 16_319 * 63
