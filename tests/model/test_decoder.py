"""The decoder looks back only, within its sample only, and its cache and its rotation change nothing."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pctrain.config import ModelConfig
from pctrain.model.blocks import Cache
from pctrain.model.decoder import Decoder, init_weights

N_IDS = 384
SHAPES = {
    "grouped": ModelConfig(width=32, layers=2, attention_heads=4, kv_heads=2, hidden=48),
    "full": ModelConfig(width=32, layers=2, attention_heads=4, kv_heads=4, hidden=48),
    "single": ModelConfig(width=32, layers=1, attention_heads=4, kv_heads=1, hidden=48, tie_embeddings=True),
    "reaching": ModelConfig(width=32, layers=2, attention_heads=4, kv_heads=2, hidden=48, reach=5),
}


def made(config: ModelConfig, seed: int = 0) -> Decoder:
    model = Decoder(config, N_IDS)
    init_weights(model, seed)
    return model.eval()


def ids(rows: int, positions: int, seed: int = 0) -> Tensor:
    return torch.randint(0, N_IDS, (rows, positions), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest) -> Decoder:
    return made(SHAPES[request.param])


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=2e-5)


def test_a_position_does_not_depend_on_what_comes_after_it(model: Decoder) -> None:
    inputs = ids(1, 12)
    before = model(inputs)
    for changed in range(1, 12):
        other = inputs.clone()
        other[0, changed] = (other[0, changed] + 1) % N_IDS
        after = model(other)
        assert close(before[:, :changed], after[:, :changed])
        assert not close(before[:, changed:], after[:, changed:])


def test_a_sample_does_not_see_its_neighbours(model: Decoder) -> None:
    samples = torch.tensor([[1, 1, 1, 2, 2, 3, 3, 3, 0, 0]], dtype=torch.int32)
    positions = torch.tensor([[0, 1, 2, 0, 1, 0, 1, 2, 0, 1]])
    inputs = ids(1, 10)
    together = model(inputs, positions, samples)
    for begin, end in ((0, 3), (3, 5), (5, 8)):
        assert close(together[:, begin:end], model(inputs[:, begin:end]))
    other = inputs.clone()
    other[0, 3:5] += 1
    changed = model(other % N_IDS, positions, samples)
    assert close(together[:, :3], changed[:, :3])
    assert close(together[:, 5:], changed[:, 5:])
    assert not close(together[:, 3:5], changed[:, 3:5])


def packed(rows: int, positions: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sample numbers, as in a batch: rising from 1, and padding at the end of some rows; and the places within them."""
    rng = np.random.default_rng(seed)
    samples, places = np.zeros((rows, positions), np.int32), np.zeros((rows, positions), np.int64)
    for row in range(rows):
        ends = np.unique(rng.integers(1, positions + 1, 4))
        for number, (begin, end) in enumerate(pairwise([0, *ends]), 1):
            samples[row, begin:end], places[row, begin:end] = number, np.arange(end - begin)
    return torch.from_numpy(samples), torch.from_numpy(places)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@torch.no_grad()
def test_flex_attention_is_attention_under_the_mask(model: Decoder) -> None:
    """With biases there is no flex attention, whatever is asked for."""
    for seed in range(8):
        samples, places = packed(3, 40 + 30 * seed, seed)
        inputs = ids(*samples.shape, seed)
        model.flex = False
        masked = model(inputs, places, samples)
        model.flex = True
        assert close(model(inputs, places, samples), masked)
        assert not close(model(inputs, places, torch.ones_like(samples)), masked), "the samples matter"


@pytest.mark.gpu
def test_flex_attention_has_the_gradients_of_attention_under_the_mask() -> None:
    model = made(ModelConfig(width=64, layers=2, attention_heads=4, kv_heads=2, hidden=96)).cuda()
    samples, places = (each.cuda() for each in packed(3, 300, 1))
    gradients = []
    for flex in (False, True):
        model.flex = flex
        model.zero_grad()
        model(ids(3, 300).cuda(), places, samples).logsumexp(-1).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for masked, flexed in zip(*gradients, strict=True):
        assert masked is not None
        assert flexed is not None
        assert torch.allclose(masked, flexed, rtol=1e-2, atol=1e-2 * float(masked.abs().max()))


def test_rows_of_padding_are_finite_and_give_finite_gradients(model: Decoder) -> None:
    samples = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.int32)
    logits = model(ids(2, 4), torch.tensor([[0, 1, 0, 0]] * 2), samples)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("pieces", [[12], [5, 7], [1] * 12, [4, 1, 1, 6]])
def test_the_cache_gives_what_one_pass_gives(model: Decoder, pieces: list[int]) -> None:
    inputs = ids(2, 12)
    cache = Cache(16)
    parts = [model.logits(model.hidden(piece, cache=cache)) for piece in inputs.split(pieces, dim=1)]
    assert cache.length == 12
    assert close(torch.cat(parts, 1), model(inputs))


def test_only_differences_of_positions_count(model: Decoder) -> None:
    inputs = ids(1, 8)
    assert close(model(inputs, torch.arange(8)[None]), model(inputs, torch.arange(100, 108)[None]))


def test_layers_that_reach_a_few_positions_see_as_many_together_and_no_more() -> None:
    model = made(SHAPES["reaching"])
    inputs = ids(1, 20)
    before = model(inputs)
    other = inputs.clone()
    other[0, 3] = (other[0, 3] + 1) % N_IDS
    changed = (model(other) - before).abs().amax(2)[0] > 1e-6
    assert changed.nonzero()[:, 0].tolist() == list(range(3, 3 + 2 * (5 - 1) + 1))


def test_what_a_position_sees_does_not_hang_on_where_it_stands() -> None:
    model = made(SHAPES["reaching"])
    inputs = ids(1, 20)
    shifted = torch.cat([ids(1, 7, seed=1), inputs], 1)
    assert close(model(shifted)[:, 7 + 8 :], model(inputs)[:, 8:])


def test_biases_by_distance_are_added_to_the_scores() -> None:
    """Against the formula, position by position, of one head's attention."""
    layer = made(ModelConfig(width=8, layers=1, attention_heads=1, kv_heads=1, hidden=8, reach=3)).layers[0].attention
    assert layer.near is not None
    torch.nn.init.normal_(layer.near, generator=torch.Generator().manual_seed(2))
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    queries, keys, values = (x @ each.weight.T for each in (layer.query, layer.key, layer.value))
    expected = []
    for t in range(6):
        near = range(max(0, t - 2), t + 1)
        scores = torch.stack([queries[t] @ keys[s] / 8**0.5 + layer.near[0, t - s] for s in near])
        expected.append(sum(w * values[s] for w, s in zip(F.softmax(scores, 0), near, strict=True)))
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    assert close(layer(x[None], None, mask, None)[0], torch.stack(expected) @ layer.output.weight.T)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    one, two, three = (list(made(SHAPES["grouped"], seed).parameters()) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert sum(not torch.equal(a, b) for a, b in zip(one, three, strict=True)) > len(one) // 2


def redrawn(model: Decoder, seed: int, stds: dict[str, float]) -> dict[str, Tensor]:
    """The first weights, drawn once more: by name, where ``stds`` names how it ends, and else with 1/√inputs."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, parameter in model.named_parameters():
        if name.endswith(("norm.weight", "turn.weight", "near")):
            continue
        std = next((std for end, std in stds.items() if name.endswith(end)), parameter.shape[-1] ** -0.5)
        drawn = torch.empty(parameter.shape)
        torch.nn.init.trunc_normal_(drawn, std=std, a=-3 * std, b=3 * std, generator=generator)
        weights[name] = drawn
    return weights


PUBLISHED_INIT = {"embed.weight": 1.0, "head.weight": 0.02, "weight": 0.03}
"""Of ``embed_init_std``, ``head_init_std`` and ``layer_init_std``: raw_head.weight ends so too."""


@pytest.mark.parametrize("shape", [*SHAPES, "with raw heads"])
@pytest.mark.parametrize("told", [False, True])
def test_first_weights_are_scaled_by_their_inputs_or_as_they_are_told(shape: str, told: bool) -> None:
    config = SHAPES.get(shape, dataclasses.replace(SHAPES["full"], raw_predict_heads=3))
    depth = (2 * config.layers) ** -0.5
    stds = {"attention.output.weight": 32**-0.5 * depth, "feed.down.weight": 48**-0.5 * depth}
    if told:
        config = dataclasses.replace(config, embed_init_std=1.0, head_init_std=0.02, layer_init_std=0.03)
        stds = PUBLISHED_INIT
    model = made(config, 5)
    expected = redrawn(model, 5, stds)
    assert expected.keys() >= {"embed.weight", "layers.0.attention.output.weight"}
    for name, parameter in model.named_parameters():
        if name in expected:
            assert torch.equal(parameter, expected[name]), name
        elif "norm" in name:
            assert (parameter == 1).all(), name


def test_attention_is_the_textbook_formula_with_heads_turned_by_halves() -> None:
    """An independent calculation of one layer's attention, head by head and position by position."""
    model = made(SHAPES["grouped"])
    layer, width, n_positions = model.layers[0].attention, 8, 5
    x = torch.randn(n_positions, 32, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(n_positions, n_positions, dtype=torch.bool).tril()

    def turned(vector: Tensor, position: int) -> Tensor:
        result = vector.clone()
        for i in range(width // 2):
            angle = position * 10_000.0 ** (-2 * i / width)
            a, b = vector[i], vector[i + width // 2]
            result[i] = a * math.cos(angle) - b * math.sin(angle)
            result[i + width // 2] = b * math.cos(angle) + a * math.sin(angle)
        return result

    heads = []
    for head in range(4):
        rows = slice(head * width, (head + 1) * width)
        shared = slice(head // 2 * width, (head // 2 + 1) * width)
        queries = [turned(layer.query.weight[rows] @ x[t], t) for t in range(n_positions)]
        keys = [turned(layer.key.weight[shared] @ x[t], t) for t in range(n_positions)]
        values = [layer.value.weight[shared] @ x[t] for t in range(n_positions)]
        weights = [
            F.softmax(torch.stack([queries[t] @ keys[s] for s in range(t + 1)]) / width**0.5, 0) for t in range(5)
        ]
        heads.append(torch.stack([sum(w * v for w, v in zip(weights[t], values, strict=False)) for t in range(5)]))
    expected = torch.cat(heads, 1) @ layer.output.weight.T

    from pctrain.model.blocks import rotary

    rotation = rotary(torch.arange(n_positions)[None], width, 10_000.0)
    assert close(layer(x[None], rotation, mask, None)[0], expected)
