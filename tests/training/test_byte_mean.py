"""What a run with ``model.byte_mean`` takes from its dataset, and that it does not need it again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcdata.dataset import Dataset
from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS
from pctrain.config import resolve
from pctrain.data.spelling import byte_shares
from pctrain.inference.export import llama_tensors
from pctrain.training.job import Job
from pctrain.training.loop import fit
from pctrain.training.run import load_model
from tests.made_run import SETTINGS, VIEW, make_dataset, triples

MEAN = (*SETTINGS, "model.byte_mean=true")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


def test_a_new_run_knows_what_symbols_stand_for(dataset: Dataset, tmp_path: Path) -> None:
    """Of made symbols some stand for one group of bytes only, in all documents."""
    model = Job.prepare(dataset, tmp_path, resolve(None, None, MEAN)).model
    split, spelled = dataset.split("train"), dict[int, set[bytes]]()
    for number in range(split.n_documents):
        raw = split.document(number).raw.tobytes()
        for at, symbol in enumerate(triples(raw).tolist()):
            spelled.setdefault(symbol, set()).add(raw[3 * at : 3 * at + 3])
    checked = 0
    for symbol, groups in spelled.items():
        if len(groups) == 1:
            group = torch.tensor([*next(iter(groups))]) + FIRST_BYTE
            found = model.embed(torch.tensor([RAW_IDS + symbol]))[0]
            assert torch.allclose(found, model.embed.weight[group].mean(0), atol=1e-6)
            checked += 1
    assert checked > 50


def test_a_run_goes_on_and_is_read_without_its_dataset(dataset: Dataset, tmp_path: Path) -> None:
    settings = [*MEAN, "train.steps=4"]
    fit(dataset.folder, tmp_path / "run", resolve(None, None, settings), quiet=True)
    expected = torch.from_numpy(byte_shares([dataset.split("train")], dataset.vocabulary, [VIEW]))
    assert expected.any()
    model, _ = load_model(tmp_path / "run", "last", torch.device("cpu"))
    again = Job.prepare(dataset, tmp_path / "run", resolve(None, None, settings)).model
    for one in (model, again):
        assert torch.equal(one.embed.shares_VB, expected)
        assert torch.equal(one.embed.weight, model.embed.weight)
    known = expected.any(1)
    assert model.embed.weight[known].any(), "residuals are learnt"
    assert model.embed.weight[known].abs().mean() < model.embed.weight[~known].abs().mean()
    assert torch.equal(llama_tensors(model)["model.embed_tokens.weight"], model.embed(torch.arange(RAW_IDS)))
