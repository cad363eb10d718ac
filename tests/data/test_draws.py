import numpy as np
import pytest

from pcdata.dataset.splitmix import key_of
from pctrain.data.draws import Purpose, uniform


def test_golden_draws():
    """The sequence of batches of every run rests on these values: they never change."""
    documents = np.array([0, 1, 2, 10**12], np.uint64)
    assert key_of(0, Purpose.KIND, 0) == 14551227772670638080
    assert uniform(0, 0, documents, Purpose.KIND).tolist() == [
        0.983872386747858,
        0.8286412894124175,
        0.959121674751704,
        0.4223680718115135,
    ]
    assert uniform(-1, 3, documents, Purpose.PAIR_ORDER).tolist() == [
        0.962005765174191,
        0.03918458190971019,
        0.3356346448824138,
        0.8290830760363213,
    ]
    assert [purpose.value for purpose in Purpose] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("purpose", [Purpose.KIND, Purpose.VIEW, Purpose.PAIR_ORDER])
def test_draws_are_uniform(purpose):
    draws = np.sort(uniform(7, 1, np.arange(20_000, dtype=np.uint64), purpose))
    assert 0 <= draws[0] < draws[-1] < 1
    assert np.abs(draws - np.arange(20_000) / 20_000).max() < 1.63 / np.sqrt(20_000), "Kolmogorov-Smirnov at 1 %"


def test_draws_for_different_purposes_epochs_and_seeds_are_unrelated():
    documents = np.arange(20_000, dtype=np.uint64)
    draws = [
        uniform(0, 0, documents, Purpose.KIND),
        uniform(0, 0, documents, Purpose.VIEW),
        uniform(0, 1, documents, Purpose.KIND),
        uniform(1, 0, documents, Purpose.KIND),
        np.roll(uniform(0, 0, documents, Purpose.KIND), 1),
    ]
    related = np.abs(np.corrcoef(draws) - np.eye(len(draws)))
    assert related.max() < 4 / np.sqrt(20_000)
