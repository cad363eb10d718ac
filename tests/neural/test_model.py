"""One context, one distribution: in a text, alone, or a byte at a time."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcdata.codecs.byte_model import REACH_BYTES, TOTAL
from pctrain.neural.model import NeuralModel, counts
from tests.neural.opened import SHAPES, made

TEXT = (b"def f(x):\n    return x + 1\n\n\xff\0" * 12)[:330]


def model(name: str) -> NeuralModel:
    return NeuralModel(made(SHAPES[name])[1])


@given(rows=st.lists(st.lists(st.integers(0, 1 << 20), min_size=255, max_size=255), min_size=1, max_size=4))
def test_counts_are_shares_rounded_down_and_the_likeliest_takes_the_rest(rows: list[list[int]]) -> None:
    odds = [[1 << 20, *row] for row in rows]
    for found, row in zip(counts(torch.tensor(odds, dtype=torch.float64)).tolist(), odds, strict=True):
        expected = [1 + odd * (TOTAL - 256) // sum(row) for odd in row]
        expected[row.index(max(row))] += TOTAL - sum(expected)
        assert found == expected


@pytest.mark.parametrize("name", SHAPES)
def test_a_byte_at_a_time_gives_what_one_pass_gives(name: str) -> None:
    """Of a segment and of a document at once, as decoding asks; and of contexts that have nothing to do with those."""
    predicting, following = model(name), model(name)
    starts = np.array([0, 3, 4, 40])
    text = np.frombuffer(TEXT, np.uint8)
    segments, document = predicting.predict(text, starts), predicting.predict(text, np.array([0]))
    draw = random.Random(1)
    for place in range(len(TEXT)):
        start = int(starts[np.searchsorted(starts, place, side="right") - 1])
        for begin, expected in ((start, segments), (0, document)):
            table, row = following.following(bytearray(TEXT[max(begin, place - REACH_BYTES) : place]))
            assert np.array_equal(table.cumulative_RC[row], expected.table.cumulative_RC[expected.rows_N[place]])
        if place % 20 == 0:
            following.following(draw.randbytes(draw.randrange(REACH_BYTES)))


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_further_than_the_reach_does_not_matter(name: str) -> None:
    predicting = model(name)
    text = np.frombuffer(TEXT, np.uint8)
    expected = predicting.predict(text, np.array([0])).table.cumulative_RC
    for first in (1, 50, 137):
        later = predicting.predict(text[first:], np.array([0])).table.cumulative_RC
        assert np.array_equal(later[REACH_BYTES:], expected[first + REACH_BYTES :])


def test_nothing_is_predicted_of_nothing() -> None:
    predictions = model("grouped").predict(np.zeros(0, np.uint8), np.zeros(0, np.int64))
    assert predictions.table.cumulative_RC.shape == (0, 257)


def test_the_number_of_threads_is_left_as_it_was() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        model("grouped").following(b"ab")
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
