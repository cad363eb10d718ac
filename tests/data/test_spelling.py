"""What ids stand for, against a count byte by byte."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pcdata.dataset import DatasetError, Split, ViewIds, Vocabulary
from pcdata.dataset.vocab import RAW_IDS
from pctrain.data.batch import IGNORE
from pctrain.data.placebo import permuted
from pctrain.data.spelling import byte_shares, spellings
from tests.data.made_dataset import CHUNKS, LETTERS, make_documents, make_split
from tests.made_run import VIEW, make_dataset, make_spelled_dataset, spelled, write_dataset

VOCABULARY = Vocabulary({LETTERS: ViewIds(0, RAW_IDS + 100, 1000), CHUNKS: ViewIds(1, RAW_IDS + 1100, 256)})
"""Not the ids that the dataset has."""


def units(split: Split) -> list[tuple[int, bytes]]:
    """Each symbol of the view ``letters`` with its bytes, by the alignment that the reader hands out."""
    found = []
    for number in range(split.n_documents):
        document = split.document(number)
        points = document.alignment(LETTERS)
        starts = [0, *points.raw_ends.tolist()]
        for symbol, start, end in zip(document.symbols(LETTERS).tolist(), starts, starts[1:], strict=False):
            found.append((symbol, document.raw[start:end].tobytes()))
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_are_those_of_all_bytes_that_an_id_stands_for(tmp_path: Path, seed: int) -> None:
    splits = [make_split(tmp_path / name, make_documents(40, seed + at)) for at, name in enumerate("ab")]
    counts: dict[int, Counter[int]] = {}
    for symbol, raw in (unit for split in splits for unit in units(split)):
        counts.setdefault(symbol, Counter()).update(raw)
    shares = byte_shares(splits, VOCABULARY, [LETTERS])
    assert shares.shape == (VOCABULARY.padded_size, 256)
    for symbol in range(1000):
        of = counts.get(symbol, Counter())
        expected = [of[byte] / max(1, of.total()) for byte in range(256)]
        assert shares[RAW_IDS + 100 + symbol] == pytest.approx(expected, rel=1e-6)
    assert sum(of.total() for of in counts.values()) == sum(split.raw_bytes for split in splits)
    assert 100 < len(counts) < 1000, "some are seen, some are not"
    assert not shares[: RAW_IDS + 100].any()
    assert not shares[RAW_IDS + 1100 :].any()


def test_views_that_say_nothing_of_a_symbol_alone_are_left_out(tmp_path: Path) -> None:
    split = make_split(tmp_path, make_documents(20, 0))
    both = byte_shares([split], VOCABULARY, [CHUNKS, LETTERS])
    assert np.array_equal(both, byte_shares([split], VOCABULARY, [LETTERS]))
    shared = Vocabulary({LETTERS: ViewIds(0, 64, 256)})
    assert not byte_shares([split], shared, [LETTERS]).any()


def test_few_bytes_are_looked_at_in_blocks_spread_over_the_split(tmp_path: Path) -> None:
    documents = [bytes([65 + number]) * 90 for number in range(40)]
    split = make_split(tmp_path, documents, block_documents=1)
    shares = byte_shares([split], VOCABULARY, [LETTERS], up_to_bytes=90 * 9)
    seen = np.flatnonzero(shares.any(0)) - 65
    assert seen.tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    one = byte_shares([split], VOCABULARY, [LETTERS], up_to_bytes=1)
    assert np.flatnonzero(one.any(0)).tolist() == [65]


def test_a_placebos_symbols_stand_for_what_they_came_to_lie_beside(tmp_path: Path) -> None:
    split = make_split(tmp_path, make_documents(1, 5, longest=3000), block_documents=1)
    columns, raw = split.view(LETTERS, 0), split.document(0).raw
    shares = byte_shares([split], VOCABULARY, [LETTERS], placebo=True)
    counts = np.zeros((1000, 256))
    at = 0
    symbols = permuted(columns.symbols, columns.symbol_offsets, 0).tolist()
    for symbol, size in zip(symbols, columns.unit_bytes.tolist(), strict=True):
        for byte in raw[at : at + size]:
            counts[symbol, byte] += 1
        at += size
    assert np.allclose(shares[RAW_IDS + 100 : RAW_IDS + 1100], counts / np.maximum(1, counts.sum(1, keepdims=True)))
    assert not np.array_equal(shares, byte_shares([split], VOCABULARY, [LETTERS]))


def test_units_that_do_not_cover_the_bytes_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = write_dataset(tmp_path, [b"abcdef"], [b"ghi"]).split("train")
    columns = split.view("triples", 0)
    damaged = dataclasses.replace(columns, unit_bytes=columns.unit_bytes - 1)
    monkeypatch.setattr(split, "view", lambda name, block: damaged)
    with pytest.raises(DatasetError, match="stand for 4 bytes of 6"):
        byte_shares([split], split.dataset.vocabulary, ["triples"])


@pytest.mark.parametrize("n_bytes", [1, 2, 5])
def test_a_spelling_is_the_first_bytes_that_an_id_always_stands_for(tmp_path: Path, n_bytes: int) -> None:
    splits = [make_spelled_dataset(tmp_path / str(seed), seed).split("train") for seed in range(2)]
    expected = {}
    for split in splits:
        for number in range(split.n_documents):
            raw = split.document(number).raw.tobytes()
            for at, symbol in enumerate(spelled(raw).tolist()):
                expected[symbol] = [64 + byte for byte in raw[3 * at : 3 * at + 3]]
    found = spellings(splits, splits[0].dataset.vocabulary, [VIEW], n_bytes)
    for row in range(len(found)):
        known = expected.get(row - RAW_IDS, [])
        assert found[row].tolist() == (known + [IGNORE] * n_bytes)[:n_bytes]
    assert len(expected) > 200
    assert {len(known) for known in expected.values()} == {1, 2, 3}


def test_a_view_with_an_id_that_stands_for_different_bytes_has_no_spelling(tmp_path: Path) -> None:
    """Only the last unit of the last of many blocks tells."""
    split = make_spelled_dataset(tmp_path / "a").split("train")
    ids, columns = split.dataset.vocabulary, split.view(VIEW, 0)
    assert (spellings([split], ids, [VIEW], 2) != IGNORE).any()
    documents = [b"abc", b"abcabc", b"abcabcabc", b"abcabd"]

    def same(raw: bytes) -> np.ndarray:
        return np.full(len(raw) // 3, 7, np.uint16)

    other = write_dataset(tmp_path / "b", documents, [b"abc"], symbols_of=same).split("train")
    assert (spellings([other], ids, [VIEW], 2)[RAW_IDS + 7] == [64 + 97, 64 + 98]).all(), "the two that are asked for"
    assert (spellings([other], ids, [VIEW], 3) == IGNORE).all()
    assert (spellings([split, other], ids, [VIEW], 3) == IGNORE).all()
    lengths = write_dataset(tmp_path / "c", [b"abc", b"ab"], [b"abc"], symbols_of=lambda raw: np.full(1, 7, np.uint16))
    assert (spellings([lengths.split("train")], ids, [VIEW], 1) == IGNORE).all()
    made = make_dataset(tmp_path / "d").split("train")
    assert (spellings([made], ids, [VIEW], 2) == IGNORE).all()
    assert (spellings([split], ids, [VIEW], 2, placebo=True) == IGNORE).all()
    assert len(columns.symbols)
