import numpy as np

from pcdata.dataset.splitmix import hashes, key_of


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


def test_every_word_of_a_key_counts_and_so_does_their_order():
    keys = {key_of(), key_of(0), key_of(0, 0), key_of(1), key_of(0, 1), key_of(1, 0), key_of(-1), key_of(2**64 - 2)}
    assert len(keys) == 8
    assert key_of(-1) == key_of(2**64 - 1)
