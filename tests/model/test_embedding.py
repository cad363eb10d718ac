"""A symbol is embedded as the mean of its bytes and a residual; raw ids are embedded as ever."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder, init_weights

CONFIG = ModelConfig(width=16, layers=1, attention_heads=2, kv_heads=1, hidden=24, byte_mean=True)
SPELLED = {320: b"the", 321: b"a", 330: b"aab"}


def shares() -> Tensor:
    found = torch.zeros(384, 256)
    for symbol, raw in SPELLED.items():
        for byte in raw:
            found[symbol, byte] += 1 / len(raw)
    return found


@pytest.fixture
def model() -> Decoder:
    model = Decoder(CONFIG, 384)
    init_weights(model, 0)
    model.embed.stand_for(shares())  # type: ignore[operator]
    return model


def test_a_symbol_begins_as_the_mean_of_its_bytes(model: Decoder) -> None:
    weight = model.embed.weight
    for symbol, raw in SPELLED.items():
        expected = torch.stack([weight[FIRST_BYTE + byte] for byte in raw]).mean(0)
        assert torch.allclose(model.embed(torch.tensor([[symbol]]))[0, 0], expected, atol=1e-6)


def test_what_was_learnt_is_added(model: Decoder) -> None:
    before = model.embed(torch.tensor([320, 321]))
    with torch.no_grad():
        model.embed.weight[320] += 2.0
    assert torch.allclose(model.embed(torch.tensor([320, 321])) - before, torch.tensor([[2.0], [0.0]]).expand(2, 16))


def test_other_ids_are_embedded_as_ever(model: Decoder) -> None:
    plain = Decoder(ModelConfig(width=16, layers=1, attention_heads=2, kv_heads=1, hidden=24), 384)
    init_weights(plain, 0)
    others = torch.tensor([number for number in range(384) if number not in SPELLED])
    assert torch.equal(model.embed(others), plain.embed(others))
    assert plain.embed(others).all(), "a row that nothing is known of is drawn, not 0"
    raw = torch.arange(RAW_IDS)[None]
    assert torch.equal(model(raw), plain(raw))


def test_bytes_learn_from_the_symbols_that_they_are_in(model: Decoder) -> None:
    model.embed(torch.tensor([320, 330])).sum().backward()
    gradient = model.embed.weight.grad
    assert gradient is not None
    expected = shares()[320] + shares()[330]
    assert torch.allclose(gradient[FIRST_BYTE:RAW_IDS], expected[:, None].expand(256, 16))
    own = F.one_hot(torch.tensor([320, 330]), 384).sum(0)
    assert torch.equal(gradient[RAW_IDS:, 0], own[RAW_IDS:].float())


def test_tied_embeddings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.byte_mean leaves residuals"):
        ModelConfig(byte_mean=True, tie_embeddings=True)
