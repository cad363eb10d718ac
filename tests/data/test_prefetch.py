import threading
import time

import pytest

from pcdata.dataset import Dataset
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader
from pctrain.data.prefetch import Prefetcher
from tests.data.made_dataset import make_documents, make_split
from tests.data.reading_back import same

BATCHES = 17


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("made")
    make_split(path, make_documents(30, seed=2))
    return path


@pytest.fixture
def loader(folder):
    data = DataConfig(seq_len=64, rows=4, shuffle_rows=12)
    return lambda: Loader(Dataset(folder).split("train"), data, MixtureConfig(), steps=20, seed=0)


class Counting:
    """Stands in for a loader: says which batches were made, and fails at one."""

    def __init__(self, fails_at: int = -1) -> None:
        self.made: list[int] = []
        self.fails_at = fails_at

    def next_batch(self) -> int:
        number = len(self.made)
        if number == self.fails_at:
            raise OSError("the disk is gone")
        self.made.append(number)
        return number


def threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


def settle(made: list[int]) -> int:
    """How many were made once nothing is added any more."""
    before = -1
    while before != len(made):
        before = len(made)
        time.sleep(0.05)
    return before


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_results_do_not_depend_on_the_depth(loader, depth):
    plain = loader()
    with Prefetcher(loader(), BATCHES, depth) as batches:
        assert all(same(batches.next_batch(), plain.next_batch()) for _ in range(BATCHES))
        assert batches.wait_seconds > 0
    assert threads() == 0


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_batches_are_made_ahead(depth):
    counting = Counting()
    with Prefetcher(counting, 100, depth) as batches:
        assert settle(counting.made) == depth
        assert [batches.next_batch(), batches.next_batch()] == [0, 1]
        assert settle(counting.made) == depth + 2
    assert settle(counting.made) == depth + 2


@pytest.mark.parametrize("depth", [0, 2])
def test_what_goes_wrong_is_raised_in_its_place_and_again(depth):
    counting = Counting(fails_at=2)
    with Prefetcher(counting, 100, depth) as batches:
        assert [batches.next_batch(), batches.next_batch()] == [0, 1]
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is gone"):
                batches.next_batch()
    assert counting.made == [0, 1], "nothing is made after it"
    assert threads() == 0


@pytest.mark.parametrize("depth", [0, 2])
def test_batches_come_in_order_and_end(depth):
    with Prefetcher(Counting(), 2, depth) as batches:
        assert [batches.next_batch(), batches.next_batch()] == [0, 1]
        with pytest.raises(ValueError, match="no batch is left"):
            batches.next_batch()


def test_closing_ends_the_thread_at_any_time():
    for taken in range(4):
        batches = Prefetcher(Counting(), 3, 2)
        for _ in range(min(taken, 3)):
            batches.next_batch()
        batches.close()
        batches.close()
        assert threads() == 0
        with pytest.raises(ValueError, match="no batch is left"):
            batches.next_batch()
