import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pctrain.data.order import Order, permute

BLOCKS = st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any)


def indices(size: int) -> np.ndarray:
    return np.arange(size, dtype=np.uint64)


@given(size=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
@settings(deadline=None, max_examples=60)
def test_permute_is_a_permutation(size, key):
    assert sorted(permute(indices(size), size, key).tolist()) == list(range(size))


def test_permute_is_pointwise_and_reaches_far():
    size = 10**15 + 7
    some = np.array([0, 1, 12345, size - 1], np.uint64)
    places = permute(some, size, 5)
    assert [int(permute(some[i : i + 1], size, 5)[0]) for i in range(4)] == places.tolist()
    assert len(set(places.tolist())) == 4
    assert places.max() < size


def test_golden_permutations():
    """The order of documents of every run rests on these values: they never change."""
    assert permute(indices(12), 12, 0).tolist() == [6, 5, 2, 9, 4, 1, 0, 8, 3, 10, 7, 11]
    assert permute(indices(1000), 1000, 2**63)[:6].tolist() == [684, 486, 804, 220, 294, 625]


@pytest.mark.parametrize("size", [3, 16, 100])
def test_permute_takes_every_index_everywhere_equally_often(size):
    keys = 200 * size
    counts = np.zeros((size, size))
    for key in range(keys // size):
        places = permute(indices(size), size, key).astype(np.int64)
        counts[np.arange(size), places] += 1
    expected = keys / size / size
    chi_square, freedom = ((counts - expected) ** 2 / expected).sum(), (size - 1) ** 2
    assert chi_square < freedom + 5 * np.sqrt(2 * freedom)


@given(blocks=BLOCKS, window=st.integers(1, 50), seed=st.integers(0, 9), limit=st.integers(1, 100))
@settings(deadline=None, max_examples=60)
def test_an_epoch_has_every_document_once_and_windows_hold_whole_blocks(blocks, window, seed, limit):
    order = Order(np.array(blocks), window, seed)
    first = np.concatenate([[0], np.cumsum(blocks)])
    for epoch in range(2):
        draw, windows, seen = epoch * order.n_documents, {}, []
        while draw < (epoch + 1) * order.n_documents:
            stretch = order.stretch(draw, limit)
            assert (stretch.epoch, stretch.first_draw) == (epoch, draw)
            assert 0 < len(stretch) <= limit
            assert np.array_equal(stretch.documents, first[stretch.blocks] + stretch.rows)
            assert all(0 <= row < blocks[block] for block, row in zip(stretch.blocks, stretch.rows, strict=True))
            windows.setdefault(stretch.window, set()).update(stretch.blocks.tolist())
            seen += stretch.documents.tolist()
            draw += len(stretch)
        assert sorted(seen) == list(range(order.n_documents))
        assert all(len(inside) <= window for inside in windows.values())
        assert len(set().union(*windows.values())) == sum(map(len, windows.values())), "a block is in one window"


@given(blocks=BLOCKS, window=st.integers(1, 8), data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_draw_is_found_without_walking_there(blocks, window, data):
    order = Order(np.array(blocks), window, 1)
    draw = data.draw(st.integers(0, 3 * order.n_documents))
    alone = Order(np.array(blocks), window, 1).stretch(draw, 1)
    walked: list[int] = []
    while len(walked) <= draw:
        walked += order.stretch(len(walked), 1000).documents.tolist()
    assert alone.documents.tolist() == [walked[draw]]


@pytest.mark.parametrize(
    ("blocks", "window"),
    [([25] * 40, 8), pytest.param([1] * 1000, 1, id="blocks"), pytest.param([1000], 1, id="documents")],
)
def test_epochs_and_seeds_differ_and_documents_cross_blocks(blocks, window):
    """With blocks of one document only the order of blocks is left, with one block only that of documents."""

    def documents(seed: int, epoch: int) -> list[int]:
        order = Order(np.array(blocks), window, seed)
        numbers: list[int] = []
        while len(numbers) < 1000:
            numbers += order.stretch(epoch * 1000 + len(numbers), 200).documents.tolist()
        return numbers

    orders = [documents(0, 0), documents(0, 1), documents(1, 0)]
    assert all(sorted(order) == list(range(1000)) for order in orders)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(np.array(orders[a]) == np.array(orders[b])) < 0.02
    if len(blocks) > 1:
        assert np.mean(np.diff(np.array(orders[0]) // blocks[0]) != 0) > 0.8, "neighbours come from different blocks"
