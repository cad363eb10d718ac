"""For other people's trainers: a ``DataLoader`` gives what ``Loader`` gives, and goes on where it was stopped."""

from __future__ import annotations

import json
import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from pcdata.dataset import Dataset, DatasetError
from pctrain.config import DataConfig, MixtureConfig
from pctrain.data.cursor import Cursor
from pctrain.data.loader import Loader
from pctrain.data.torch_dataset import DocumentDataset, PackedBatches
from pctrain.errors import CheckpointError
from tests.data.made_dataset import CHUNKS, LETTERS, make_documents, make_split

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores, on purpose
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 on torch 2.13
]

DATA, MIXTURE, STEPS = DataConfig(seq_len=64, rows=5, shuffle_rows=15), MixtureConfig(), 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = make_split(tmp_path_factory.mktemp("made"), make_documents(30, seed=2), block_documents=3, shard_blocks=2)
    return split.dataset.folder


def packed(folder: Path, **more: Any) -> PackedBatches:
    return PackedBatches(folder, steps=STEPS, data=DATA, mixture=MIXTURE, seed=3, **more)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_any_number_of_workers_gives_the_batches_of_the_loader_in_order(folder: Path, workers: int) -> None:
    loader = Loader(Dataset(folder).split("train"), DATA, MIXTURE, steps=STEPS, seed=3, rank=1, world_size=2)
    batches = list(DataLoader(packed(folder, rank=1, world_size=2), batch_size=None, num_workers=workers))
    assert len(batches) == STEPS
    for found in batches:
        batch = loader.next_batch()
        assert torch.equal(found["inputs"], torch.from_numpy(batch.arrays.inputs_RT))
        assert torch.equal(found["targets"], torch.from_numpy(batch.arrays.targets_RT))
        assert torch.equal(found["positions"], torch.from_numpy(batch.arrays.positions_RT))
        assert torch.equal(found["samples"], torch.from_numpy(batch.arrays.samples_RT))
        assert torch.equal(found["target_views"], torch.from_numpy(batch.arrays.target_views_RT))
    assert not same(batches[0], batches[1])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 4])
def test_a_stateful_loader_goes_on_where_it_was_stopped(folder: Path, workers: int, stop: int) -> None:
    def make() -> Any:
        return StatefulDataLoader(packed(folder), batch_size=None, num_workers=workers)

    whole = list(make())
    stopped = make()
    before = list(islice(iter(stopped), stop))
    state = pickle.loads(pickle.dumps(stopped.state_dict()))
    goes_on = make()
    goes_on.load_state_dict(state)
    after = list(goes_on)
    assert len(before) + len(after) == len(whole) == STEPS
    assert all(map(same, [*before, *after], whole))
    assert all(map(same, goes_on, whole))  # the next time from the beginning


def test_an_iteration_that_was_abandoned_leaves_the_next_one_alone(folder: Path) -> None:
    batches = packed(folder)
    whole = list(packed(folder))
    for taken in (1, 4):
        before = list(islice(batches, taken))
        assert all(map(same, before, whole))
    other = packed(folder)
    other.load_state_dict(batches.state_dict())
    assert all(map(same, other, whole[4:]))
    assert all(map(same, batches, whole))


def test_a_state_is_plain_and_a_wrong_one_is_refused(folder: Path) -> None:
    batches = packed(folder)
    first = list(islice(batches, 3))
    other = packed(folder)
    other.load_state_dict(json.loads(json.dumps(batches.state_dict())))
    assert same(next(iter(other)), list(packed(folder))[3])
    assert len(first) == 3
    for state in ({}, {"version": 1}, Cursor(STEPS + 1, STEPS + 1).to_dict()):
        with pytest.raises(CheckpointError):
            other.load_state_dict(state)


@pytest.mark.parametrize("workers", [0, 2])
def test_documents_are_those_of_the_dataset(folder: Path, workers: int) -> None:
    documents = DocumentDataset(folder)
    split = Dataset(folder).split("train")
    found = [one for many in DataLoader(documents, 4, collate_fn=list, num_workers=workers) for one in many]
    assert len(found) == len(documents) == split.n_documents > 20
    for number, one in enumerate(found):
        document = split.document(number)
        assert bytes(one["raw"].tolist()) == document.raw.tobytes()
        assert (one["path"], one["doc_id"]) == (document.path, document.doc_id)
        assert one["symbols"].keys() == {LETTERS, CHUNKS}
        for view in (LETTERS, CHUNKS):
            assert one["symbols"][view].tolist() == document.symbols(view).tolist()
            assert one["raw_ends"][view].tolist() == document.alignment(view).raw_ends.tolist()
            assert one["symbol_ends"][view].tolist() == document.alignment(view).symbol_ends.tolist()
    assert documents[-1]["doc_id"] == found[-1]["doc_id"]
    assert DocumentDataset(folder, views=[CHUNKS])[0]["symbols"].keys() == {CHUNKS}


def test_what_is_not_there_says_so(folder: Path) -> None:
    with pytest.raises(IndexError):
        DocumentDataset(folder)[10_000]
    for wrong in (
        {"folder": folder / "none"},
        {"folder": folder, "views": ["none"]},
        {"folder": folder, "split": "no"},
    ):
        with pytest.raises(DatasetError):
            DocumentDataset(**wrong)
