"""What a run says of itself is what it then does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pcdata.dataset import Dataset
from pctrain.config import resolve
from pctrain.training.header import expected_epochs, header
from pctrain.training.loop import fit
from pctrain.training.trainer import Trainer
from tests.made_run import SETTINGS, make_dataset

MIXTURES = {
    "published": (),
    "raw": ('mixture.mode="raw"', "mixture.warmup_fraction=0"),
    "compressed": ('mixture.mode="compressed"', "mixture.warmup_fraction=0"),
    "splice": ('mixture.mode="splice"', "mixture.warmup_fraction=0", "mixture.share=0.5", "mixture.splice_bytes=20"),
}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_run_reads_about_as_many_epochs_as_it_says(tmp_path: Path, mixture: str) -> None:
    """Rows are long beside documents here: little is padding, which the estimate leaves out."""
    dataset = make_dataset(tmp_path / "data")
    config = resolve(None, None, [*SETTINGS, "data.seq_len=512", "train.steps=20", *MIXTURES[mixture]])
    said = expected_epochs(Trainer.prepare(dataset, tmp_path, config))[dataset.folder.name]
    fit(dataset.folder, tmp_path / "run", config, quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    documents = sum(line["data"]["documents"] for line in lines if line["kind"] == "train")
    assert said > 1
    assert said == pytest.approx(documents / dataset.split("train").n_documents, rel=0.15)


def test_several_datasets_have_epochs_of_their_own(tmp_path: Path) -> None:
    one, other = make_dataset(tmp_path / "one"), make_dataset(tmp_path / "other", 5)
    config = resolve(None, None, [*SETTINGS, "data.weights.one=3"])
    trainer = Trainer.prepare([one, other], tmp_path, config)
    found = expected_epochs(trainer)
    assert found["one"] == pytest.approx(3 * found["other"])
    assert [line[8:12] for line in header(trainer, 1, 1e12) if line.startswith("data")] == ["one:", "othe"]
    chosen = dataclasses.replace(config, data=dataclasses.replace(config.data, where={"path": ["*"]}))
    assert expected_epochs(Trainer.prepare([one, other], tmp_path, chosen)) == {}


@pytest.mark.parametrize(("days", "words"), [(0.9, None), (30, "at least 30 days")])
def test_a_run_of_days_says_so(tmp_path: Path, days: float, words: str | None) -> None:
    dataset: Dataset = make_dataset(tmp_path / "data")
    trainer = Trainer.prepare(dataset, tmp_path, resolve(None, None, [*SETTINGS, "train.steps=12"]))
    times = [line for line in header(trainer, 10**12, 12 * 1e12 / (days * 86_400)) if line.startswith("time")]
    assert bool(times) == (words is not None)
    assert words is None or words in times[0]
