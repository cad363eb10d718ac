"""The documents that are named are those that a batch showed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdata.dataset import Dataset
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.loader import Loader
from pctrain.data.shown_documents import shown_documents
from tests.data.made_dataset import in_order, make_documents, write_dataset
from tests.data.reading_back import read_samples

RAW_ONLY = MixtureConfig("raw", "raw")
WHERE = [{}, {"path": ["*1", "*2", "*5"]}]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("named")
    sizes = {"big": make_documents(31, seed=5, longest=900), "small": make_documents(7, seed=6)}
    return {name: write_dataset(folder / name, documents) for name, documents in sizes.items()}


@given(
    seq_len=st.integers(20, 200),
    seed=st.integers(0, 99),
    alone=st.booleans(),
    where=st.sampled_from(WHERE),
    shuffle_rows=st.sampled_from([0, 30]),
)
@settings(deadline=None, max_examples=25)
def test_the_documents_of_a_batch_are_named_and_no_others(made, seq_len, seed, alone, where, shuffle_rows):
    datasets = {"big": made["big"]} if alone else made
    data = DataConfig(seq_len=seq_len, rows=3, window_blocks=2, where=where, shuffle_rows=shuffle_rows)
    loader = Loader([one.split("train") for one in datasets.values()], data, RAW_ONLY, steps=30, seed=seed)
    seen = set()
    for _ in range(30):
        batch = loader.next_batch()
        named = [*shown_documents(datasets, batch)]
        documents = [raw_of(datasets[one.dataset], one.document, one.path) for one in named]
        shown = [bytes(side.symbols) for sample in read_samples([batch]) for side in sample.sides]
        assert all(any(piece in raw for raw in documents) for piece in shown)
        assert all(any(piece in raw for piece in shown) for raw in documents)
        assert len({*named}) == len(named)
        seen |= {one.dataset for one in named}
    assert seen == {*datasets}


def raw_of(dataset: Dataset, name: str, path: str) -> bytes:
    split, _, number = name.partition(":")
    document = dataset.split(split).document(int(number))
    assert document.path == path.encode()
    return document.raw.tobytes()


def test_a_batch_within_one_document_names_it(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, [bytes(range(256)) * 20])
    data = in_order(seq_len=16, rows=2)
    loader = Loader(dataset.split("train"), data, RAW_ONLY, steps=9, seed=0)
    loader.next_batch()
    batch = loader.next_batch()
    assert batch.stats.documents == 0
    (one,) = shown_documents({"a": dataset}, batch)
    assert (one.dataset, one.document, one.path) == ("a", "train:0", "0")
