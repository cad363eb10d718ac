"""Alignment: which states it compares, its gradients, and that nothing changes it but the rows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcdata.dataset import Dataset, Split
from pctrain.config import MODES, SETTINGS, AlignmentConfig, MixtureConfig
from pctrain.data.batch import NO_UNIT, UNITS
from pctrain.data.layout import Row, Span
from pctrain.data.loader import Loader
from pctrain.data.mixture import RAW
from pctrain.errors import ConfigError
from pctrain.methods.alignment import Alignment, Points, points_of
from pctrain.methods.make import make_model, units_wanted
from pctrain.model.method import Rows
from pctrain.training import loop
from pctrain.training.checkpoint import checkpoints
from pctrain.training.loop import fit
from pctrain.training.step import gradients, micro_batches
from pctrain.training.trainer import Trainer
from tests.data.made_dataset import CHUNKS, LETTERS, in_order, make_documents, make_split
from tests.made_run import VIEW, make_dataset, saved_tensors, settings

# R rows, T positions, D width

CPU = torch.device("cpu")
PAIRS = (
    *("mixture.warmup_fraction=0", "mixture.share=0.45", "optim.clip=0"),
    *("alignment.weight=3", "alignment.raw_layer=1", "alignment.view_layer=2"),
)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return make_split(tmp_path_factory.mktemp("made"), make_documents(40, seed=1))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Three documents, each in a block of its own, where units count from 0: a row shows each of them many times."""
    return make_split(tmp_path_factory.mktemp("tiny"), make_documents(3, seed=1, longest=20), block_documents=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


def laid_out(loader: Loader) -> tuple[Rows, list[Row]]:
    """The next batch, and the layout of its rows."""
    kept: list[Row] = []
    lay_out = loader._next_rows
    loader._next_rows = lambda: kept.extend(lay_out()) or kept
    batch = loader.next_batch()
    loader._next_rows = lay_out
    return next(micro_batches(batch, 0, len(batch.arrays.inputs_RT), CPU)), kept


def places_of(points: Points, line: int) -> list[tuple[int, int]]:
    """The positions that are compared in a row: of raw states, and of compressed ones."""
    here = points.is_point_RU[line]
    return [*zip(points.raw_RU[line, here].tolist(), points.view_RU[line, here].tolist(), strict=True)]


def unit_ends(split: Split, span: Span, begin: int, view: str) -> dict[int, int]:
    """Unit of the document → the column of its last symbol, for a side of a pair that begins in column ``begin``."""
    row = span.document % split.block_documents[0]
    if span.view == RAW:
        first = int(split.base(span.block).raw_offsets[row])
        ends = split.document(span.document).alignment(view).raw_ends
    else:
        first = int(split.view(view, span.block).symbol_offsets[row])
        ends = split.document(span.document).alignment(view).symbol_ends
    columns = {unit: begin + first + int(end) - 1 - span.start for unit, end in enumerate(ends)}
    return {unit: column for unit, column in columns.items() if begin <= column < begin + span.end - span.start}


def slow_points(split: Split, row: Row, view: str, number: int, seq_len: int) -> list[tuple[int, int]]:
    """Pairs of positions, from the document's own units."""
    begins, at = {}, 0
    for span in row.spans:
        begins[id(span)] = at + span.bos + 1
        at += span.length
    found = []
    for pair in row.paired:
        if pair.compressed.view == number:
            raw, compressed = (unit_ends(split, side, begins[id(side)], view) for side in pair[:2])
            assert raw.keys() == compressed.keys()
            found += [(raw[unit], compressed[unit]) for unit in raw]
    return [places for places in found if max(places) < seq_len]


def always(mode: str) -> MixtureConfig:
    """In mode translation or parallel, nine of ten documents are pairs."""
    return MixtureConfig(mode=mode, warmup_fraction=0.0, share=0.45, splice_bytes=20)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("documents", ["split", "tiny"])
def test_the_states_compared_are_those_at_the_ends_of_units_of_pairs(
    mode: str, documents: str, request: pytest.FixtureRequest
) -> None:
    split: Split = request.getfixturevalue(documents)
    seen = Counter[str]()

    @given(
        seq_len=st.integers(16, 160),
        seed=st.integers(0, 99),
        view=st.sampled_from([LETTERS, CHUNKS]),
        views=st.sampled_from([{LETTERS: 1.0}, {CHUNKS: 1.0}, {}]),
    )
    def law(seq_len: int, seed: int, view: str, views: dict[str, float]) -> None:
        loader = Loader(
            split, in_order(seq_len=seq_len, rows=4, views=views), always(mode), steps=8, seed=seed, units=view
        )
        number = 1 + loader.view_names.index(view) if view in loader.view_names else -1
        rows, layout = laid_out(loader)
        points = points_of(rows)
        for line, row in enumerate(layout):
            found = places_of(points, line)
            assert found == sorted(slow_points(split, row, view, number, seq_len), key=max)
            assert rows.extras[UNITS][line].max() < seq_len + 1
            seen["points"] += len(found)
            seen["several pairs"] += len(row.paired) > 1
            seen["pairs of another view"] += any(pair.compressed.view != number for pair in row.paired)
            seen["a document twice"] += len({pair.raw.document for pair in row.paired}) < len(row.paired)
            seen["units of no pair"] += not found and bool((rows.extras[UNITS][line] != NO_UNIT).any())

    law()
    if mode in ("translation", "parallel"):
        assert all(seen[case] for case in ("points", "several pairs", "pairs of another view", "units of no pair")), (
            seen
        )
        assert documents != "tiny" or seen["a document twice"]
    else:
        assert not seen["points"]


def test_a_placebo_has_as_many_units_but_they_end_elsewhere_in_the_raw_bytes(split: Split) -> None:
    ends = []
    for placebo in (False, True):
        data = in_order(seq_len=160, rows=16, views={LETTERS: 1.0}, placebo=placebo)
        rows, _ = laid_out(Loader(split, data, always("translation"), steps=8, seed=3, units=LETTERS))
        points = points_of(rows)
        ends.append({(line, *places) for line in range(16) for places in places_of(points, line)})
    true, other = ends
    shared = {(line, view) for line, _, view in true} & {(line, view) for line, _, view in other}
    assert len(true) > 200
    assert len(shared) > 0.9 * len(true)
    assert len(true & other) < 0.5 * len(true)


def made_states(rows: int, seq_len: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, seq_len, 6)
    return [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(3)]


def slow_loss(config: AlignmentConfig, states: Sequence[Tensor], rows: Rows) -> Tensor:
    """The definition, unit by unit. Which units there are is another test's."""
    points, total = points_of(rows), torch.zeros((), dtype=torch.float64)
    stop = {"view": (False, True), "raw": (True, False), "none": (False, False)}[config.stop_gradient]
    for line in range(len(rows.inputs_RT)):
        places = places_of(points, line)
        for raw, view in places:
            own = states[config.raw_layer][line, raw]
            own = own.detach() if stop[0] else own
            cosines, sample = {}, int(rows.samples_RT[line, raw])
            for other_raw, at in places:
                other = states[config.view_layer][line, at]
                other = other.detach() if stop[1] else other
                if rows.samples_RT[line, other_raw] == sample:
                    cosines[at] = own @ other / own.norm() / other.norm()
            if config.distance == "cosine":
                total = total + 1 - cosines[view]
            else:
                total = total + torch.stack([*cosines.values()]).div(0.1).exp().sum().log() - cosines[view] / 0.1
    return config.weight * total


@pytest.mark.parametrize("distance", SETTINGS["alignment.distance"].choices)
@pytest.mark.parametrize("side", SETTINGS["alignment.stop_gradient"].choices)
def test_loss_and_gradients_are_those_of_the_definition(split: Split, distance: str, side: str) -> None:
    config = AlignmentConfig(weight=0.7, distance=distance, raw_layer=1, view_layer=2, stop_gradient=side)
    seen = Counter[str]()

    @given(seq_len=st.integers(16, 80), seed=st.integers(0, 99), mode=st.sampled_from(["translation", "parallel"]))
    def law(seq_len: int, seed: int, mode: str) -> None:
        data = in_order(seq_len=seq_len, rows=2, views={LETTERS: 1.0})
        rows, _ = laid_out(Loader(split, data, always(mode), steps=8, seed=seed, units=LETTERS))
        found, expected = (made_states(*rows.inputs_RT.shape, seed) for _ in range(2))
        loss = Alignment(config, layers=2).loss(found, rows)
        reference = slow_loss(config, expected, rows)
        assert loss is not None
        assert loss.item() == pytest.approx(reference.item(), rel=1e-9)
        if not points_of(rows).is_point_RU.any():
            return
        loss.backward()
        reference.backward()
        for layer, (one, other) in enumerate(zip(found, expected, strict=True)):
            seen[f"gradients of {layer}"] += one.grad is not None
            assert (one.grad is None) == (other.grad is None)
            assert one.grad is None or torch.allclose(one.grad, other.grad, atol=1e-12)

    law()
    moved = {"view": {1}, "raw": {2}, "none": {1, 2}}[side]
    assert {layer for layer in range(3) if seen[f"gradients of {layer}"]} == moved


@given(
    mode=st.sampled_from(["translation", "parallel"]),
    distance=st.sampled_from(SETTINGS["alignment.distance"].choices),
    size=st.integers(1, 4),
    micro_rows=st.integers(0, 3),
)
def test_loss_and_gradients_do_not_depend_on_how_the_batch_is_divided(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, mode: str, distance: str, size: int, micro_rows: int
) -> None:
    chosen = settings(*PAIRS, f"mixture.mode={mode}", f"alignment.distance={distance}")
    trainer = Trainer.prepare(dataset, tmp_path_factory.getbasetemp() / "no run", chosen)
    config, parameters = trainer.config, [*trainer.model.parameters()]
    whole = gradients(trainer, trainer.loader.next_batch())
    expected = [parameter.grad for parameter in parameters]
    assert whole.nats > whole.nats_W.sum() + 1, "there are no points"

    trainer.model.zero_grad()
    nats = 0.0
    for rank in range(size):
        loader = Loader(
            dataset.split("train"),
            config.data,
            config.mixture,
            steps=config.train.steps,
            seed=config.train.seed,
            rank=rank,
            world_size=size,
            units=units_wanted(config),
        )
        for rows in micro_batches(loader.next_batch(), micro_rows, config.data.rows, CPU):
            sums = trainer.objective(*rows)
            (sums.nats / whole.targets).backward()
            nats += sums.nats.item()
    assert nats == pytest.approx(whole.nats, rel=1e-6)
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_a_run_with_it_resumes_to_the_last_bit(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, real, steps = settings(*PAIRS, "mixture.mode=translation"), loop.take_step, itertools.count()

    def take_step(*arguments: Any) -> Any:
        if next(steps) == 6:
            raise InterruptedError
        return real(*arguments)

    fit(dataset.folder, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", take_step)
        with pytest.raises(InterruptedError):
            fit(dataset.folder, tmp_path / "cut", config)
    fit(dataset.folder, tmp_path / "cut", config)
    cut, whole = (saved_tensors(checkpoints(tmp_path / name)[-1] / "model") for name in ("cut", "whole"))
    assert cut.keys() == whole.keys()
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_a_weight_of_0_is_not_there(dataset: Dataset, tmp_path: Path) -> None:
    """No units are read, no module is made; and with a weight, only the gradient is another."""
    without, there = (
        Trainer.prepare(dataset, tmp_path, settings(*PAIRS, "mixture.mode=translation", f"alignment.weight={weight}"))
        for weight in (0, 1)
    )
    assert [units_wanted(trainer.config) for trainer in (without, there)] == ["", VIEW]
    assert [len(trainer.objective.methods) for trainer in (without, there)] == [0, 1]
    batches = [trainer.loader.next_batch() for trainer in (without, there)]
    assert [{*batch.extras} for batch in batches] == [set(), {UNITS}]
    plain, aligned = (gradients(trainer, batch) for trainer, batch in zip((without, there), batches, strict=True))
    assert torch.equal(plain.nats_W, aligned.nats_W)
    assert plain.nats == pytest.approx(float(plain.nats_W.sum()))
    assert aligned.nats > plain.nats
    assert aligned.gradient_norm != plain.gradient_norm
    assert without.model.state_dict().keys() == there.model.state_dict().keys()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["alignment.view_layer=3"], "alignment.view_layer must be at most model.layers=2, got 3"),
        (["data.views.a=1", "data.views.b=2"], "alignment.view must be one of a, b, got ''"),
        (["data.views.a=1", "alignment.view=c"], "alignment.view must be one of a, got 'c'"),
        (["mixture.mode=mixed"], "alignment.weight needs pairs, but the modes are mixed: set mixture.mode to"),
    ],
)
def test_settings_that_mean_nothing_are_refused(more: list[str], message: str) -> None:
    config = settings(*PAIRS, "mixture.mode=parallel", *more)
    with pytest.raises(ConfigError) as refused:
        (make_model(config, 320), units_wanted(config))
    assert message in str(refused.value)
