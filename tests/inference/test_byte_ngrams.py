"""The n-gram yardstick is Kneser–Ney, its probabilities add up to 1, and its sample is what it says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pctrain.data.filter import Filter
from pctrain.inference import byte_ngrams
from pctrain.inference.byte_ngrams import ORDERS, ByteNgrams, Sample
from tests.made_run import make_texts, write_dataset
from tests.strategies import library_files

TEXTS = st.lists(st.text("ab\0", max_size=12).map(str.encode), min_size=1, max_size=4).filter(any)
START = -1
Gram = tuple[int, ...]


def counted(texts: Sequence[bytes]) -> ByteNgrams:
    return ByteNgrams(as_array(text) for text in texts)


def as_array(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)


class Formula:
    """Interpolated Kneser–Ney by its definition, one dictionary per level."""

    def __init__(self, texts: Sequence[bytes], order: int) -> None:
        self.order = order
        self.levels = {
            n: Counter(longer[1:] for longer in {gram for text in texts for gram in grams(text, n + 1)})
            for n in range(1, order)
        }
        self.levels[order] = Counter(gram for text in texts for gram in grams(text, order))

    def probability(self, gram: Gram) -> float:
        if not gram:
            return 1 / 256
        level, lower = self.levels[len(gram)], self.probability(gram[1:])
        after = {other: n for other, n in level.items() if other[:-1] == gram[:-1]}
        if not after:
            return lower
        once, twice = (sum(n == times for n in level.values()) for times in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        own = max(level[gram] - discount, 0)
        return (own + discount * len(after) * lower) / sum(after.values())

    def bits(self, text: bytes) -> float:
        return -sum(math.log2(self.probability(gram)) for gram in grams(text, self.order))


def grams(text: bytes, order: int) -> list[Gram]:
    """Those that end with each byte; before the text there are start symbols."""
    symbols = [START] * (order - 1) + list(text)
    return [tuple(symbols[first : first + order]) for first in range(len(text))]


@given(TEXTS, st.text("abc\0", max_size=20).map(str.encode))
def test_bits_are_those_of_the_formula(texts: list[bytes], measured: bytes) -> None:
    found = counted(texts).bits(as_array(measured))
    assert found == pytest.approx([Formula(texts, order).bits(measured) for order in ORDERS], rel=1e-9)


def test_of_real_code_too() -> None:
    texts = [text[:600] for text in library_files()[:3]]
    measured = library_files()[3][:200]
    expected = [Formula(texts, order).bits(measured) for order in ORDERS]
    assert counted(texts).bits(as_array(measured)) == pytest.approx(expected, rel=1e-9)
    assert expected[0] < 6 * len(measured)


@given(TEXTS, st.binary(max_size=6))
def test_the_256_probabilities_add_up_to_1(texts: list[bytes], context: bytes) -> None:
    model = counted(texts)
    before = model.bits(as_array(context))
    each = np.array([model.bits(as_array(context + bytes([byte]))) - before for byte in range(256)])
    assert np.exp2(-each).sum(axis=0) == pytest.approx([1.0] * len(ORDERS), rel=1e-9)


@given(TEXTS, st.integers(1, 7))
def test_pieces_do_not_matter(texts: list[bytes], size: int) -> None:
    """Neither those in which n-grams are counted, nor those in which a document is measured."""
    whole = counted(texts).bits(as_array(b"abba\0cab" * 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_ngrams, "_BYTES_AT_ONCE", size)
        assert counted(texts).bits(as_array(b"abba\0cab" * 3)) == pytest.approx(whole, rel=1e-12)


def test_documents_are_not_counted_as_one() -> None:
    apart, joined = (counted(texts).bits(as_array(b"ba")) for texts in ([b"ab"] * 8, [b"ab" * 8]))
    assert (apart > joined).all()


def test_an_empty_document_has_no_bits_and_no_sample_is_refused() -> None:
    assert counted([b"ab"]).bits(as_array(b"")).tolist() == [0.0] * len(ORDERS)
    with pytest.raises(ValueError, match="no bytes to count"):
        counted([b"", b""])


@pytest.mark.parametrize("most_bytes", [1, 100, 3000, 10**6])
def test_a_sample_is_as_long_as_it_may_be_and_spread_over_the_split(tmp_path: Path, most_bytes: int) -> None:
    documents = make_texts(200, 5)
    split = write_dataset(tmp_path, documents, [b"val"]).split("train")
    sample = Sample(split, Filter({}), most_bytes)
    texts = [text.tobytes() for text in sample.texts()]
    total = sum(map(len, documents))
    assert sum(map(len, texts)) == sample.raw_bytes <= min(most_bytes, total)
    assert sample.raw_bytes > 0.8 * min(most_bytes, total)
    places = [place for place, document in enumerate(documents) if document in texts]
    if most_bytes >= total:
        assert texts == documents
    elif most_bytes > 1000:
        assert min(places) < 20
        assert max(places) > 180


def test_a_sample_has_only_what_the_filter_keeps(tmp_path: Path) -> None:
    documents = make_texts(200, 5)
    split = write_dataset(tmp_path, documents, [b"val"]).split("train")
    only = Filter({"path": ["train-1*"]})
    sample = Sample(split, only, 10**6)
    assert [text.tobytes() for text in sample.texts()] == [documents[number] for number in only.numbers(split)]
    assert 0 < len(only.numbers(split)) < 200
    assert Sample(split, Filter({"lang": ["Rust"]})).raw_bytes == 0
