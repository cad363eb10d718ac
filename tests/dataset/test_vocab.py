"""Symbol ids: no two meanings share one, and the numbers of FORMAT.md never change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset import ViewIds, Vocabulary, vocab


def test_the_numbers_of_the_format() -> None:
    assert (vocab.PAD, vocab.BOS, vocab.EOS, vocab.RAW_OPEN, vocab.RAW_CLOSE) == (0, 1, 2, 3, 4)
    assert (vocab.FIRST_BYTE, vocab.RAW_IDS, vocab.MAX_VIEWS) == (64, 320, 29)
    assert (ViewIds(0, 320, 1).open_id, ViewIds(28, 320, 1).close_id) == (5, 62)


def test_without_views_a_model_needs_the_raw_ids() -> None:
    assert (Vocabulary({}).size, Vocabulary({}).padded_size) == (320, 320)


def test_a_view_that_shares_the_raw_ids_adds_none() -> None:
    assert Vocabulary({"gzip": ViewIds(0, vocab.FIRST_BYTE, 256)}).size == 320


@given(st.lists(st.integers(1, 70_000), max_size=vocab.MAX_VIEWS))
def test_no_two_meanings_share_an_id(sizes: list[int]) -> None:
    views: dict[str, ViewIds] = {}
    for slot, n_symbols in enumerate(sizes):
        first_id = Vocabulary(views).size
        views[str(slot)] = ViewIds(slot, first_id, n_symbols)
    vocabulary = Vocabulary(views)
    marks = [mark for ids in views.values() for mark in (ids.open_id, ids.close_id)]
    assert len({0, 1, 2, 3, 4, *marks}) == 5 + 2 * len(sizes)
    assert all(mark < vocab.FIRST_BYTE for mark in marks)
    assert vocabulary.size == vocab.RAW_IDS + sum(sizes)
    assert 0 <= vocabulary.padded_size - vocabulary.size < 64
    assert vocabulary.padded_size % 64 == 0
