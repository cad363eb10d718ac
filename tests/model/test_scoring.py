"""Every symbol of a document is scored exactly once, after what the windowing says it may see."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_OPEN, RAW_VIEW
from pctrain.config import ModelConfig
from pctrain.errors import ConfigError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.scoring import Score, Window, Windowing, cut, jackknife_error, scores

CPU = torch.device("cpu")


def score(model: Decoder, windows: Iterable[Window], rows: int) -> Score:
    return sum(scores(model, windows, RAW_VIEW, rows, CPU), Score())


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
    windows = list(cut(symbols(count), RAW_VIEW, begins, Windowing(seq_len, stride)))
    scored = [window.ids[window.scored_from :] - FIRST_BYTE for window in windows]
    assert np.array_equal(np.concatenate([np.zeros(0, int), *scored]), symbols(count))
    for index, window in enumerate(windows):
        assert window.opening == ((BOS, RAW_OPEN) if begins and index == 0 else (RAW_OPEN,))
        assert len(window.opening) + len(window.ids) - 1 <= seq_len
        assert len(window.ids) > window.scored_from
        assert index == 0 or len(window.ids) - window.scored_from <= stride


def test_overlap_gives_all_the_context_there_is() -> None:
    *_, last = cut(symbols(50), RAW_VIEW, True, Windowing(16, 4))
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
    windowing = Windowing(16, stride)
    windows = [
        window for count in (40, 1, 17, 16, 3) for window in cut(symbols(count), RAW_VIEW, count != 17, windowing)
    ]
    expected = 0.0
    with torch.no_grad():
        for window in windows:
            row = torch.tensor([[*window.opening, *window.ids]])
            chances = model(row[:, :-1])[0, :, FIRST_BYTE : FIRST_BYTE + 256].double().log_softmax(1)
            for place in range(window.scored_from, len(window.ids)):
                at = len(window.opening) + place
                expected -= float(chances[at - 1, row[0, at] - FIRST_BYTE]) / np.log(2)
    found = [score(model, windows, rows) for rows in (1, 2, 7, 100)]
    assert {result.symbols for result in found} == {40 + 1 + 17 + 16 + 3}
    assert np.allclose([result.bits for result in found], expected, rtol=1e-6)
    assert all(result.full_bits > result.bits for result in found)


def test_a_model_without_opinion_scores_exactly_8_bits() -> None:
    model = Decoder(ModelConfig(width=32, layers=1, attention_heads=2, kv_heads=1, hidden=48), 384)
    init_weights(model, 0)
    torch.nn.init.zeros_(model.head.weight)
    windows = cut(symbols(1000), RAW_VIEW, True, Windowing(16, 16))
    result = score(model, windows, 7)
    assert (result.symbols, result.bits) == (1000, 8000.0)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), min_size=2, max_size=30))
def test_the_standard_error_is_that_of_leaving_out_one_document_at_a_time(documents: list[tuple[int, float]]) -> None:
    sizes_K = np.array([size for size, _ in documents])
    bits_K = np.array([size * rate for size, rate in documents])
    ratios = [np.delete(bits_K, k).sum() / np.delete(sizes_K, k).sum() for k in range(len(documents))]
    expected = np.sqrt(np.var(ratios) * (len(ratios) - 1))
    assert jackknife_error(bits_K, sizes_K) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_standard_error_is_how_far_such_samples_lie_apart() -> None:
    """Against what is left of chance in many samples of documents whose length and bits are drawn."""
    draw = np.random.default_rng(0)
    sizes = draw.integers(100, 2000, (2000, 50))
    bits = sizes * draw.normal(3, 0.5, sizes.shape)
    errors = [jackknife_error(*sample) for sample in zip(bits, sizes, strict=True)]
    assert np.mean(errors) == pytest.approx(np.std(bits.sum(1) / sizes.sum(1)), rel=0.05)


def test_an_empty_document_says_nothing_about_the_standard_error() -> None:
    bits, sizes = np.array([3.0, 8.0, 1.0]), np.array([2, 3, 1])
    assert jackknife_error(np.append(bits, 0), np.append(sizes, 0)) == pytest.approx(jackknife_error(bits, sizes))


@pytest.mark.parametrize("sizes", [[], [5], [0, 5, 0]])
def test_one_document_has_no_standard_error(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="two documents"):
        jackknife_error(np.array(sizes) * 3.0, np.array(sizes))
