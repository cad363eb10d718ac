"""Every symbol of a document is scored exactly once, after what the windowing says it may see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_OPEN
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.scoring import RAW, Windowing, cut, score

CPU = torch.device("cpu")


def symbols(count: int) -> np.ndarray:
    return (np.arange(count) * 7 % 256).astype(np.uint8)


@given(
    count=st.integers(0, 70),
    seq_len=st.integers(2, 20),
    stride=st.integers(1, 20),
    begins=st.booleans(),
)
def test_windows_score_every_symbol_once_and_fit(count: int, seq_len: int, stride: int, begins: bool) -> None:
    stride = min(stride, seq_len)
    windows = list(cut(symbols(count), RAW, begins, Windowing(seq_len, stride)))
    scored = [window.ids[window.scored_from :] - FIRST_BYTE for window in windows]
    assert np.array_equal(np.concatenate([np.zeros(0, int), *scored]), symbols(count))
    for index, window in enumerate(windows):
        assert window.opening == ((BOS, RAW_OPEN) if begins and index == 0 else (RAW_OPEN,))
        assert len(window.opening) + len(window.ids) - 1 <= seq_len
        assert len(window.ids) > window.scored_from
        assert index == 0 or len(window.ids) - window.scored_from <= stride


def test_overlap_gives_all_the_context_there_is() -> None:
    *_, last = cut(symbols(50), RAW, True, Windowing(16, 4))
    assert np.array_equal(last.ids, symbols(50)[-16:].astype(int) + FIRST_BYTE)


@pytest.mark.parametrize(("seq_len", "stride"), [(1, 1), (8, 0), (8, 9)])
def test_impossible_windows_are_refused(seq_len: int, stride: int) -> None:
    with pytest.raises(ConfigError, match=r"must be"):
        Windowing(seq_len, stride)


@pytest.mark.parametrize("stride", [16, 5])
def test_the_score_is_that_of_one_document_at_a_time(stride: int) -> None:
    """Against log-probabilities taken window by window from plain forward passes, for several batch sizes."""
    model = Decoder(ModelConfig(width=32, layers=2, attention_heads=2, kv_heads=1, hidden=48), 384)
    init_weights(model, 0)
    how = Windowing(16, stride)
    windows = [window for count in (40, 1, 17, 16, 3) for window in cut(symbols(count), RAW, count != 17, how)]
    expected = 0.0
    with torch.no_grad():
        for window in windows:
            row = torch.tensor([[*window.opening, *window.ids]])
            chances = model(row[:, :-1])[0, :, FIRST_BYTE : FIRST_BYTE + 256].double().log_softmax(1)
            for place in range(window.scored_from, len(window.ids)):
                at = len(window.opening) + place
                expected -= float(chances[at - 1, row[0, at] - FIRST_BYTE]) / np.log(2)
    found = [score(model, windows, RAW, rows, CPU) for rows in (1, 2, 7, 100)]
    assert {result.symbols for result in found} == {40 + 1 + 17 + 16 + 3}
    assert np.allclose([result.bits for result in found], expected, rtol=1e-6)
    assert all(result.full_bits > result.bits for result in found)


def test_a_model_without_opinion_scores_exactly_8_bits() -> None:
    model = Decoder(ModelConfig(width=32, layers=1, attention_heads=2, kv_heads=1, hidden=48), 384)
    init_weights(model, 0)
    torch.nn.init.zeros_(model.head.weight)
    result = score(model, cut(symbols(1000), RAW, True, Windowing(16, 16)), RAW, 7, CPU)
    assert (result.symbols, result.bits) == (1000, 8000.0)
