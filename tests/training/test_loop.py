"""Runs: exact resume after any kind of end, refusals that name the field, and learning at all."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcdata.dataset import Dataset
from pctrain.config import MODES
from pctrain.data.batch import Batch
from pctrain.errors import CheckpointError, PctrainError
from pctrain.training import loop, step, trainer
from pctrain.training.checkpoint import checkpoints
from pctrain.training.loop import fit
from pctrain.training.step import gradients, micro_batches, take_step
from pctrain.training.trainer import Trainer
from tests.made_run import SETTINGS, VIEW, make_dataset, saved_tensors, settings


def lines(run: Path, kind: str) -> list[dict[str, Any]]:
    parsed = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in parsed if line["kind"] == kind]


def losses(run: Path) -> list[tuple[int, float, float]]:
    return [(line["step"], line["nats"], line["gradient_norm"]) for line in lines(run, "train")]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return saved_tensors(checkpoints(run)[-1] / "model")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert fit(dataset.folder, run, settings()).step == 12
    return run


KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from pctrain.config import resolve
from pctrain.training import loop

real, numbers = loop.take_step, itertools.count()
def take_step(job, rate, batch):
    if next(numbers) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(job, rate, batch)
loop.take_step = take_step
loop.fit(Path(sys.argv[1]), Path(sys.argv[2]), resolve(None, None, sys.argv[4:]))
"""


def test_a_run_that_was_killed_goes_on_to_the_last_bit(dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(dataset.folder), str(run), "7", *SETTINGS]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [folder.name for folder in checkpoints(run)] == ["step-00000004"]
    assert losses(run)[-1][0] == 6
    fit(dataset.folder, run, settings())
    assert losses(run) == losses(whole)
    assert len(losses(run)) == 6
    assert [line["raw_bits"] for line in lines(run, "val")] == [line["raw_bits"] for line in lines(whole, "val")]
    assert same(weights(run), weights(whole))


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")])
def test_a_stop_signal_ends_after_the_step_with_a_checkpoint(
    dataset: Dataset, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    run, real, handler, steps = tmp_path / "run", loop.take_step, signal.getsignal(number), itertools.count()

    def take_step(trainer: Trainer, rate: float, batch: Batch) -> Any:
        if next(steps) == 4:
            signal.raise_signal(number)
        return real(trainer, rate, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", take_step)
        outcome = fit(dataset.folder, run, settings())
    assert (outcome.step, outcome.signal, outcome.signal and outcome.signal.name) == (5, number, name)
    assert signal.getsignal(number) is handler
    assert [folder.name for folder in checkpoints(run)] == ["step-00000004", "step-00000005"]
    assert fit(dataset.folder, run, settings()) == loop.Outcome(12)
    assert same(weights(run), weights(whole))
    assert sum(line["nats"] for line in lines(run, "train")) == pytest.approx(
        sum(line["nats"] for line in lines(whole, "train")), rel=1e-12
    )


def test_prefetching_changes_nothing(dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    fit(dataset.folder, tmp_path / "run", settings("runtime.prefetch=0"))
    assert losses(tmp_path / "run") == losses(whole)


def test_a_batch_is_shown_in_pieces_of_micro_rows(dataset: Dataset, tmp_path: Path) -> None:
    for micro_rows, pieces in {0: 1, 1: 4, 3: 2}.items():
        trainer = Trainer.prepare(dataset, tmp_path, settings(f"runtime.micro_rows={micro_rows}"))
        assert (
            len(list(micro_batches(trainer.loader.next_batch(), trainer.config.runtime.micro_rows, 4, trainer.device)))
            == pieces
        )


@pytest.mark.parametrize(
    "heads", [(), ("model.predict_heads=2", "model.raw_predict_heads=4")], ids=["one head", "heads"]
)
@pytest.mark.parametrize("mode", MODES)
def test_one_batch_is_learned_by_heart(dataset: Dataset, tmp_path: Path, mode: str, heads: tuple[str, ...]) -> None:
    """But for which document begins, or goes on, behind an open mark: a few hundredths of a nat per target."""
    mixture = [f'mixture.mode="{mode}"', "mixture.warmup_fraction=0", "mixture.share=0.7", "mixture.splice_bytes=20"]
    trainer = Trainer.prepare(
        dataset, tmp_path, settings("data.rows=6", "model.width=64", "model.hidden=128", *mixture, *heads)
    )
    batch = trainer.loader.next_batch()
    shown = [symbols > 0 for symbols in batch.stats.symbols_V]
    assert shown == {"raw": [True], "compressed": [False, True]}.get(mode, [True, True])
    found = [take_step(trainer, 1e-2, batch).mean for _ in range(70)]
    assert found[0] > 5
    assert min(found[-10:]) < 0.1


def test_the_log_adds_up(dataset: Dataset, whole: Path) -> None:
    train, val = lines(whole, "train"), lines(whole, "val")
    assert [line["step"] for line in train] == [2, 4, 6, 8, 10, 12]
    assert [line["step"] for line in val] == [4, 8, 12]
    for line in train:
        views = line["views"].values()
        assert set(line["views"]) == {"raw", VIEW}
        assert sum(view["targets"] for view in views) == line["targets"]
        assert sum(view["nats"] for view in views) == pytest.approx(line["nats"], rel=1e-5)
        assert line["loss"] == pytest.approx(line["nats"] / line["targets"])
        assert set(line["shares"]) >= {"compressed_documents", "compressed_symbols", "padding"}
        assert line["data"]["positions"] == 2 * 4 * 64
        seconds = line["data"]["positions"] / line["symbols_per_second"]
        shown = line["data"]["raw_bytes"] + line["data"]["compressed_bytes"]
        assert line["raw_bytes_per_second"] == pytest.approx(shown / seconds)
        assert 0 < line["utilisation"] < line["flops_per_second"]
        assert 0 <= line["waiting"] < 1
        assert line["peak_memory_bytes"] > 1e7
    assert all(line["raw_bytes"] == 500 for line in val)
    assert lines(whole, "start")[0]["config"] == json.loads((whole / "config.json").read_text())["config"]


def test_the_best_checkpoint_and_the_last_few_are_kept(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(dataset.folder, run, settings("checkpoint.every=2", "checkpoint.keep_last=2", "optim.lr=1e-3"))
    worse = settings("checkpoint.every=2", "checkpoint.keep_last=2", "train.steps=24", "optim.lr=100")
    fit(dataset.folder, run, worse)
    kept = {int(folder.name.removeprefix("step-")) for folder in checkpoints(run)}
    states = {step: json.loads((run / f"checkpoints/step-{step:08}/state.json").read_text()) for step in kept}
    assert kept == {12, 22, 24}
    assert min(states, key=lambda step: states[step]["val_bits_per_byte"]) == 12
    fit(
        dataset.folder, run, settings("checkpoint.keep_last=1", "train.steps=24")
    )  # as if killed before the others went
    assert [folder.name for folder in checkpoints(run)] == ["step-00000012", "step-00000024"]


def test_a_finished_run_says_so_and_can_be_made_longer(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    fit(dataset.folder, run, settings("train.steps=2"))
    before = (run / "metrics.jsonl").read_bytes()
    assert fit(dataset.folder, run, settings("train.steps=2")).step == 2
    assert "finished (2 steps)" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before
    assert fit(dataset.folder, run, settings("train.steps=4", "optim.lr=1e-4")).step == 4
    said = capsys.readouterr().err
    assert "resuming from step 2; train.steps 2 → 4; optim.lr" in said


@pytest.mark.parametrize(
    "field", ["data.seq_len=32", "data.rows=3", "data.window_blocks=3", "model.layers=3", "train.seed=1"]
)
def test_what_may_not_change_is_refused_by_name(dataset: Dataset, whole: Path, field: str) -> None:
    name, _, value = field.partition("=")
    with pytest.raises(CheckpointError, match=rf"{name} = .*now it is {value}, .*--restart"):
        fit(dataset.folder, whole, settings(field))


def test_another_dataset_is_refused(whole: Path, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="another dataset than the checkpoint's: base fingerprint"):
        fit(other.folder, whole, settings())


def test_restart_begins_anew_and_removes_only_what_a_run_writes(dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(dataset.folder, run, settings("train.steps=2", "train.seed=3"))
    (run / "notes.txt").write_text("mine")
    with pytest.raises(PctrainError, match="none of the datasets"):
        fit(dataset.folder, run, settings("data.weights.other=2"), restart=True)
    assert checkpoints(run), "what cannot begin throws nothing away"
    fit(dataset.folder, run, settings(), restart=True)
    assert losses(run) == losses(whole)
    assert (run / "notes.txt").read_text() == "mine"


def test_a_raw_run_needs_no_more_ids_than_raw_ones_and_cannot_turn_to_views(dataset: Dataset, tmp_path: Path) -> None:
    raw = ('mixture.mode="raw"', "mixture.warmup_fraction=0", "train.steps=2")
    fit(dataset.folder, tmp_path, settings(*raw))
    assert weights(tmp_path)["embed.weight"].shape[0] == 320
    with pytest.raises(CheckpointError, match=f"has no ids for view {VIEW} .*, only for raw bytes; begin a new run"):
        fit(dataset.folder, tmp_path, settings("train.steps=4"))


def broken_at(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    """Losses of these steps come out as not a number, and so do their gradients."""
    real, steps = gradients, itertools.count()

    def broken(trainer: Trainer, batch: Batch) -> Any:
        found = real(trainer, batch)
        if next(steps) in bad:
            trainer.model.norm.weight.grad.fill_(np.nan)
            return dataclasses.replace(found, nats=math.nan, gradient_norm=math.nan)
        return found

    monkeypatch.setattr(step, "gradients", broken)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_documents(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_at(monkeypatch, {5})
    with pytest.raises(PctrainError, match="step 6: the loss is nan") as stopped:
        fit(dataset.folder, tmp_path, settings())
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step-00000004"]
    (bad,) = lines(tmp_path, "bad")
    assert (bad["step"], bad["loss"], bad["gradient_norm"]) == (6, None, None), "JSON has no nan"
    assert len(bad["documents"]) > 3
    for one in bad["documents"]:
        number = int(one["document"].removeprefix("train:"))
        assert one == {"dataset": dataset.folder.name, "document": f"train:{number}", "path": f"train-{number}"}
    first, sentence = bad["documents"][0], str(stopped.value)
    assert f"its documents are {first['dataset']} {first['document']} ({first['path']}), " in sentence
    assert f" and {len(bad['documents']) - 3} more, all of them in metrics.jsonl; lower optim.lr, or " in sentence


def test_a_bad_step_can_be_skipped_and_leaves_no_trace_in_the_weights(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_at(monkeypatch, {5, 6})
    assert fit(dataset.folder, tmp_path, settings("optim.bad_step=skip")).step == 12
    assert [line["step"] for line in lines(tmp_path, "bad")] == [6, 7]
    assert [line["skipped"] for line in lines(tmp_path, "train")] == [0, 0, 1, 1, 0, 0]
    assert all(math.isfinite(line["nats"]) for line in lines(tmp_path, "train"))
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path).values())
    assert sum(line["data"]["documents"] for line in lines(tmp_path, "train")) > 20, "their documents were shown"


def test_too_many_bad_steps_in_a_row_stop_the_run(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_at(monkeypatch, set(range(1, 100)))
    with pytest.raises(
        PctrainError, match=r"step 11: the loss is nan.*; 10 steps in a row were skipped; lower optim\.lr; rerun"
    ):
        fit(dataset.folder, tmp_path, settings("optim.bad_step=skip", "checkpoint.every=100", "log.every=1"))
    skipped = lines(tmp_path, "train")[1:]
    assert [line["skipped"] for line in skipped] == [1] * 9
    assert not any("loss" in line for line in skipped), "of nothing learnt there is no mean"


def test_a_gradient_that_is_too_large_is_a_bad_step(dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    norms = [line["gradient_norm"] for line in lines(whole, "train")]
    with pytest.raises(PctrainError, match=r"the gradient's norm is .*, above optim\.largest_norm="):
        fit(dataset.folder, tmp_path, settings(f"optim.largest_norm={max(norms) * 0.99}"))


def test_a_loss_that_is_too_large_is_a_bad_step(dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(PctrainError, match=r"step 1: the loss is .*, above optim\.largest_loss="):
        fit(dataset.folder, tmp_path, settings("optim.largest_loss=3"))
    assert fit(dataset.folder, tmp_path, settings("optim.largest_loss=30")).step == 12
    assert losses(tmp_path) == losses(whole)


def test_two_processes_do_not_write_one_run(dataset: Dataset, tmp_path: Path) -> None:
    from pctrain.training.run_folder import locked

    with locked(tmp_path), pytest.raises(PctrainError, match="is being written by process"):
        fit(dataset.folder, tmp_path, settings())


def test_a_view_added_later_does_not_change_a_run(dataset: Dataset) -> None:
    pinned = trainer.with_views(settings(), [dataset])
    grown = Dataset(dataset.folder)
    more = dataclasses.replace(dataset.manifest.views[0], name="more", first_id=5000)
    grown.manifest = dataclasses.replace(dataset.manifest, views=(*dataset.manifest.views, more))
    assert trainer.with_views(settings(), [grown]) != pinned
    assert trainer.with_views(pinned, [grown]) == pinned


def test_a_model_has_no_rows_for_views_that_it_does_not_read(dataset: Dataset, tmp_path: Path) -> None:
    def rows(*more: str) -> int:
        return trainer.Trainer.prepare(dataset, tmp_path, settings(*more)).model.embed.num_embeddings

    far = dataclasses.replace(dataset.manifest.views[0], first_id=70_000)
    dataset = Dataset(dataset.folder)
    dataset.manifest = dataclasses.replace(dataset.manifest, views=(far,))
    assert rows() == 832
    assert rows("mixture.mode=raw", "mixture.warmup_mode=raw", "mixture.decay_mode=raw") == 320
