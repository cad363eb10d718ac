import threading
import time

import pytest

from pcdata.dataset import Dataset
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader
from pctrain.data.prefetch import Prefetcher
from tests.data.made_dataset import make_documents, make_split
from tests.data.reading_back import same

STEPS = range(3, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("made")
    make_split(path, make_documents(30, seed=2))
    return path


@pytest.fixture
def loader(folder):
    data = DataConfig(seq_len=64, rows=4)
    return lambda: Loader(Dataset(folder).split("train"), data, MixtureConfig(), steps=20, seed=0)


class Counting:
    """Stands in for a loader: says which steps were made, and fails at one."""

    def __init__(self, fails_at: int = -1) -> None:
        self.made: list[int] = []
        self.fails_at = fails_at

    def batch(self, step: int) -> int:
        if step == self.fails_at:
            raise OSError("the disk is gone")
        self.made.append(step)
        return step


def threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


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
    with Prefetcher(loader(), STEPS, depth) as batches:
        assert all(same(batches.batch(step), plain.batch(step)) for step in STEPS)
        assert batches.wait_seconds > 0
    assert threads() == 0


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_batches_are_made_ahead(depth):
    counting = Counting()
    with Prefetcher(counting, range(100), depth) as batches:
        assert settle(counting.made) == depth
        assert [batches.batch(0), batches.batch(1)] == [0, 1]
        assert settle(counting.made) == depth + 2
    assert settle(counting.made) == depth + 2


@pytest.mark.parametrize("depth", [0, 2])
def test_what_goes_wrong_is_raised_at_its_step_and_again(depth):
    counting = Counting(fails_at=2)
    with Prefetcher(counting, range(100), depth) as batches:
        assert [batches.batch(0), batches.batch(1)] == [0, 1]
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is gone"):
                batches.batch(2)
    assert counting.made == [0, 1], "nothing is made after it"
    assert threads() == 0


@pytest.mark.parametrize("depth", [0, 2])
def test_steps_come_in_order_and_end(depth):
    with Prefetcher(Counting(), range(2), depth) as batches:
        assert [batches.batch(0), batches.batch(1)] == [0, 1]
        with pytest.raises(ValueError, match="next is none"):
            batches.batch(2)
    with Prefetcher(Counting(), range(5, 9), depth) as batches, pytest.raises(ValueError, match="next is 5"):
        batches.batch(6)


def test_closing_ends_the_thread_at_any_time():
    for taken in range(4):
        batches = Prefetcher(Counting(), range(3), 2)
        for step in range(min(taken, 3)):
            batches.batch(step)
        batches.close()
        batches.close()
        assert threads() == 0
        with pytest.raises(ValueError, match="next is none"):
            batches.batch(taken)
