import numpy as np
import pytest

from pctrain.data.hashing import Purpose, hashes, key_of, uniform


def test_hashes_are_splitmix64():
    """The outputs for seed 1234567 that are published with the algorithm (Rosetta Code, Java's SplittableRandom)."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert hashes(1234567, np.arange(5, dtype=np.uint64)).tolist() == published


def test_hashes_agree_with_whole_number_arithmetic():
    def splitmix(key: int, number: int) -> int:
        word = (key + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
        return word ^ (word >> 31)

    numbers = [0, 1, 2**32, 2**63, 2**64 - 1]
    for key in (0, 17, 2**64 - 1):
        assert hashes(key, np.array(numbers, np.uint64)).tolist() == [splitmix(key, number) for number in numbers]


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
    assert [purpose.value for purpose in Purpose] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_every_word_of_a_key_counts_and_so_does_their_order():
    keys = {key_of(), key_of(0), key_of(0, 0), key_of(1), key_of(0, 1), key_of(1, 0), key_of(-1), key_of(2**64 - 2)}
    assert len(keys) == 8
    assert key_of(-1) == key_of(2**64 - 1)


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
