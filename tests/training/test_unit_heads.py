"""A run with unit heads: what they are told, that it is kept, and that they learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcdata.dataset import Dataset
from pcdata.dataset.vocab import FIRST_BYTE, RAW_IDS
from pctrain.config import resolve
from pctrain.data.batch import IGNORE
from pctrain.errors import ConfigError
from pctrain.training.job import Job
from pctrain.training.loop import fit
from pctrain.training.run import load_model
from pctrain.training.step import take_step
from tests.made_run import SETTINGS, make_dataset, make_spelled_dataset, spelled

UNITS = (*SETTINGS, "model.unit_heads=3")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_spelled_dataset(tmp_path_factory.mktemp("data"))


def test_a_run_goes_on_and_is_read_without_its_dataset(dataset: Dataset, tmp_path: Path) -> None:
    fit(dataset.folder, tmp_path, resolve(None, None, [*UNITS, "train.steps=4"]), quiet=True)
    model, _ = load_model(tmp_path, "last", torch.device("cpu"))
    again = Job.prepare(dataset, tmp_path, resolve(None, None, [*UNITS, "train.steps=4"])).model
    for one in (model, again):
        assert one.unit_heads is not None
        assert one.unit_heads.spelling_VK.dtype == torch.int16
        for word in (b"abc", b"e d", b"cab"):
            found = one.unit_heads.spelling_VK[RAW_IDS + int(spelled(word)[0])]
            assert found.tolist() == [FIRST_BYTE + byte for byte in word]
        assert all(turn.turn.weight.any() for turn in one.unit_heads.turns), "they have learnt"


def test_they_learn_the_bytes_of_what_comes_next(dataset: Dataset, tmp_path: Path) -> None:
    mixture = ["mixture.mode=compressed", "mixture.warmup_fraction=0"]
    job = Job.prepare(dataset, tmp_path, resolve(None, None, [*UNITS, *mixture, "model.width=64", "data.rows=1"]))
    batch, heads = job.loader.batch(0), job.model.unit_heads
    assert heads is not None
    for _ in range(80):
        take_step(job, 1e-2, batch)
    rows = (batch.inputs_RT, batch.positions_RT, batch.samples_RT)
    inputs, positions, samples = map(torch.from_numpy, rows)
    hidden_ND = job.model.hidden(inputs, positions, samples).flatten(0, 1)
    targets_NK = heads.spelling_VK[torch.from_numpy(batch.targets_RT).flatten().clamp(min=0)].long()
    for k, turn in enumerate(heads.turns):
        has_N = targets_NK[:, k] != IGNORE
        guesses = (turn(hidden_ND) @ job.model.head.weight[:RAW_IDS].T).argmax(1)
        assert has_N.sum() > 30
        assert (guesses == targets_NK[:, k])[has_N].float().mean() > 0.95


def test_heads_that_would_have_nothing_to_predict_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"model\.unit_heads=3 have nothing to predict: no view that is shown \(trip"):
        Job.prepare(made, tmp_path / "run", resolve(None, None, UNITS))
    raw = ["mixture.mode=raw", "mixture.warmup_fraction=0"]
    with pytest.raises(ConfigError, match=r"no view that is shown \(none\)"):
        Job.prepare(dataset, tmp_path / "run", resolve(None, None, [*UNITS, *raw]))
    Job.prepare(dataset, tmp_path / "run", resolve(None, None, [*UNITS, "data.placebo=true"]))
    with pytest.raises(ConfigError, match=r"model\.unit_heads must be at least 0"):
        resolve(None, None, ["model.unit_heads=-1"])
