"""Boundary priors against their definition position by position; what they tell of later bytes; and runs with them."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import Tensor

from pcdata.dataset import Dataset, Split, Vocabulary
from pcdata.dataset.vocab import FIRST_BYTE, PAD, RAW_IDS, RAW_OPEN
from pctrain.config import BoundariesConfig, ModelConfig, SuperpositionConfig, resolve
from pctrain.data.batch import BAGS, IGNORE, NO_UNIT, SUFFIXES, UNITS, Batch
from pctrain.data.extras import Extras
from pctrain.data.layout import Row, Span
from pctrain.data.loader import Loader
from pctrain.data.units import BlockUnits
from pctrain.data.used_views import UsedViews
from pctrain.errors import ConfigError
from pctrain.inference.evaluate import evaluate_run
from pctrain.inference.export import llama_tensors
from pctrain.methods.boundaries import Boundaries, strength, unit_numbers
from pctrain.model.decoder import Decoder, Inputs, init_weights
from pctrain.model.loss import LossSums, Objective
from pctrain.model.method import Rows
from pctrain.model.size import size_of
from pctrain.training import loop
from pctrain.training.checkpoint import checkpoints
from pctrain.training.header import header
from pctrain.training.loop import fit
from pctrain.training.progress import in_words
from pctrain.training.step import micro_batches
from pctrain.training.trainer import Trainer
from tests.data.made_dataset import LETTERS, make_documents, make_split
from tests.data.runs import runs
from tests.made_run import VIEW, make_dataset, saved_tensors, settings

# R rows, T positions, D width

N_IDS = 1600
VIEWS = [(RAW_IDS, RAW_IDS + 1000), (FIRST_BYTE, RAW_IDS)]
CPU = torch.device("cpu")
ALL = BoundariesConfig(LETTERS, "start", "unit", 300, "unit", 0.5, True)
VARIANTS = {
    "start": BoundariesConfig(LETTERS, "start"),
    "end": BoundariesConfig(LETTERS, "end"),
    "loss": BoundariesConfig(LETTERS, loss="unit"),
    "suffix": BoundariesConfig(LETTERS, suffix=1000),
    "distance": BoundariesConfig(LETTERS, distance="unit"),
    "all": ALL,
}
variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
whole_variants = pytest.mark.parametrize("config", [ALL, VARIANTS["end"]], ids=["all", "end"])


def made_objective(config: BoundariesConfig, heads: tuple[int, int] = (1, 0)) -> tuple[Objective, Boundaries]:
    """In float64, with weights everywhere."""
    shape = ModelConfig(16, 1, 2, 1, 24, predict_heads=heads[0], raw_predict_heads=heads[1])
    model, method = Decoder(shape, N_IDS), Boundaries(config, shape)
    model.methods["boundaries"] = method
    init_weights(model, 3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return Objective(model.double(), VIEWS), method


def gradients(objective: Objective, pieces: Sequence[Rows]) -> tuple[LossSums, list[Tensor]]:
    objective.zero_grad(set_to_none=True)
    found = [objective(*rows) for rows in pieces]
    sums = LossSums(*(sum(getattr(one, name) for one in found) for name in ("nats", "nats_W", "targets_W")))
    sums.nats.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    return sums, [parameter.grad for parameter in objective.parameters() if parameter.grad is not None]


def pieces_of(batch: Batch, micro_rows: int = 0) -> list[Rows]:
    return [*micro_batches(batch, micro_rows, len(batch.arrays.inputs_RT), CPU)]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return make_split(tmp_path_factory.mktemp("made"), make_documents(30, seed=4))


@st.composite
def batches(draw: st.DrawFn, split: Split) -> Batch:
    """Raw bytes, compressed documents in two views, pairs and splices, as the loader makes them."""
    data, mixture, seed = draw(runs())
    data = dataclasses.replace(data, seq_len=draw(st.integers(8, 48)), rows=draw(st.integers(1, 3)))
    loader = Loader(split, data, mixture, steps=4, seed=seed, units=LETTERS, suffixes=True)
    return [loader.next_batch() for _ in range(draw(st.integers(1, 4)))][-1]


# The definition, position by position


def raw_unit(rows: Rows, row: int, column: int) -> int:
    """The unit of a raw byte; NO_UNIT for all else."""
    is_raw = column > 0 and int(rows.target_views_RT[row, column - 1]) == 0
    return int(rows.extras[UNITS][row, column]) if is_raw else NO_UNIT


def slow_input(
    objective: Objective, config: BoundariesConfig, share: float, rows: Rows, row: int
) -> tuple[Tensor, Any]:
    """Embeddings [T, D] and positions of a row."""
    decoder, method = objective.decoder, objective.decoder.methods["boundaries"]
    units = [raw_unit(rows, row, column) for column in range(rows.inputs_RT.shape[1] + 1)]
    embedded, positions, begun = [], [], 0
    for t, unit in enumerate(units[:-1]):
        e_D = decoder.embed.weight[rows.inputs_RT[row, t]]
        is_first = t == 0 or units[t - 1] != unit
        if unit != NO_UNIT and {"start": is_first, "end": units[t + 1] != unit}.get(config.prior, False):
            e_D = e_D + share * method.flag
        symbol = int(rows.extras[SUFFIXES][row, t])
        if config.suffix and symbol != NO_UNIT:
            e_D = e_D + share * method.suffix.weight[symbol % config.suffix]
        at = int(rows.positions_RT[row, t])
        begun = 0 if at == 0 else begun + (unit == NO_UNIT or is_first)
        positions.append((1 - share) * at + share * begun if config.distance == "unit" else at)
        embedded.append(e_D)
    return torch.stack(embedded), positions


def slow_weights(config: BoundariesConfig, share: float, rows: Rows, row: int) -> list[float]:
    """What each symbol of a row counts as a target."""
    units = [raw_unit(rows, row, column) for column in range(rows.inputs_RT.shape[1] + 1)]
    lengths: list[int] = []
    of_column: dict[int, int] = {}
    for column, unit in enumerate(units):
        if unit == NO_UNIT:
            continue
        if units[column - 1] != unit:
            lengths.append(0)
        lengths[-1] += 1
        of_column[column] = len(lengths) - 1
    if config.loss == "byte":
        return [1.0] * len(units)
    mean = sum(lengths) / max(1, len(lengths))
    return [
        1 + share * (mean / lengths[of_column[column]] - 1) if column in of_column else 1.0
        for column in range(len(units))
    ]


def slow_loss(objective: Objective, config: BoundariesConfig, share: float, rows: Rows) -> Tensor:
    decoder, total = objective.decoder, torch.zeros((), dtype=torch.float64)
    n_rows, n_positions = rows.inputs_RT.shape
    for row in range(n_rows):
        x_TD, positions = slow_input(objective, config, share, rows, row)
        weights = slow_weights(config, share, rows, row)
        here = slice(row, row + 1)
        shown = Inputs(rows.inputs_RT[here], torch.tensor([positions]), rows.samples_RT[here])
        hidden_TD = decoder.run(x_TD[None], shown)[0]
        for t in range(n_positions):
            terms = []
            for k in range(1 + len(decoder.ahead)):
                inside = t + k < n_positions and rows.samples_RT[row, t + k] == rows.samples_RT[row, t]
                target = int(rows.targets_RT[row, t + k]) if inside else IGNORE
                full = k < decoder.config.predict_heads
                if target != IGNORE and (full or rows.target_views_RT[row, t + k] == 0):
                    state_D = hidden_TD[t] if k == 0 else decoder.ahead[k - 1](hidden_TD[t])
                    matrix = decoder.head.weight if full else decoder.raw_head.weight
                    terms.append(-(matrix @ state_D).log_softmax(0)[target] * weights[t + k + 1])
            if terms:
                total = total + sum(terms) / len(terms)
    return total


@whole_variants
def test_loss_and_gradients_are_their_definition(split: Split, config: BoundariesConfig) -> None:
    objective, method = made_objective(config, heads=(2, 3))
    seen = Counter[str]()

    @given(batch=batches(split), step=st.integers(0, 4))
    def law(batch: Batch, step: int) -> None:
        method.begin(step, 10)
        (rows,) = pieces_of(batch)
        sums, found = gradients(objective, [rows])
        expected = slow_loss(objective, config, strength(config, step, 10), rows)
        slow = torch.autograd.grad(expected, [*objective.parameters()], materialize_grads=True)
        assert sums.nats.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
        # Rotation is float32 in every model, and positions between two whole numbers are rounded in another order.
        assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(found, slow, strict=True))
        seen["on"] += strength(config, step, 10) > 0 and bool((rows.target_views_RT == 0).any())

    law()
    assert seen["on"] > 2


@whole_variants
def test_loss_and_gradients_do_not_depend_on_how_rows_are_divided(split: Split, config: BoundariesConfig) -> None:
    objective, method = made_objective(config)
    method.begin(0, 10)

    @given(batch=batches(split), micro_rows=st.integers(1, 2))
    def law(batch: Batch, micro_rows: int) -> None:
        sums, whole = gradients(objective, pieces_of(batch))
        parts, found = gradients(objective, pieces_of(batch, micro_rows))
        assert parts.nats.item() == pytest.approx(sums.nats.item(), rel=1e-6)
        assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(found, whole, strict=True))

    law()


@whole_variants
def test_after_its_steps_it_is_a_plain_decoder(split: Split, config: BoundariesConfig) -> None:
    """To the last bit; its own parameters have a gradient of 0."""
    objective, method = made_objective(config)
    plain = Decoder(objective.decoder.config, N_IDS).double()
    plain.load_state_dict(
        {name: value for name, value in objective.decoder.state_dict().items() if "methods" not in name}
    )

    @given(batch=batches(split))
    def law(batch: Batch) -> None:
        method.begin(5, 10)
        (rows,) = pieces_of(batch)
        sums, _ = gradients(objective, [rows])
        expected = Objective(plain, VIEWS)(*rows[:5])
        assert sums.nats.item() == expected.nats.item()
        assert torch.equal(sums.nats_W, expected.nats_W)
        assert not any(parameter.grad.any() for parameter in method.parameters() if parameter.grad is not None)

    law()
    assert llama_tensors(objective.decoder).keys() == llama_tensors(plain).keys()
    assert all(
        torch.equal(value, llama_tensors(plain)[name]) for name, value in llama_tensors(objective.decoder).items()
    )


def test_a_loss_per_unit_leaves_the_log_in_bits_per_byte(split: Split) -> None:
    run = resolve(None, None, ["data.seq_len=40", "data.rows=4", "mixture.mode=raw", "mixture.warmup_fraction=0"])
    (rows,) = pieces_of(Loader(split, run.data, run.mixture, steps=4, seed=0, units=LETTERS).next_batch())
    objective, method = made_objective(VARIANTS["loss"])
    plain = objective(*rows)
    method.begin(0, 10)
    sums = objective(*rows)
    assert torch.equal(sums.nats_W, plain.nats_W)
    assert sums.nats.item() != pytest.approx(plain.nats.item(), rel=1e-4)


@pytest.mark.parametrize("mixture", [False, True], ids=["as a phase", "in the mixture"])
def test_bags_are_no_raw_bytes(split: Split, mixture: bool) -> None:
    """In the steps of superposition, which may be the same as those of boundaries, and beside raw bytes."""
    run = resolve(None, None, ["data.seq_len=40", "data.rows=4", f"data.views.{LETTERS}=1", "data.shuffle_rows=0"])
    superposition = SuperpositionConfig(4, units=LETTERS, mixture=mixture)
    loader = Loader(split, run.data, run.mixture, steps=20, seed=0, units=LETTERS, superposition=superposition)
    seen = Counter[str]()
    for _ in range(20):
        (rows,) = pieces_of(loader.next_batch())
        has_unit_RC = unit_numbers(rows) != NO_UNIT
        if BAGS in rows.extras:
            in_bag_RC = rows.extras[BAGS][..., 0] != PAD
            assert not (has_unit_RC & in_bag_RC).any()
            seen["bags"] += int(in_bag_RC.sum())
            seen["raw beside bags"] += int(has_unit_RC.sum())
    assert seen["bags"] > 100
    assert bool(seen["raw beside bags"]) == mixture


# What an input tells of later bytes


@dataclasses.dataclass(frozen=True)
class Cut:
    """A document, and its units: their symbols are of their bytes."""

    raw: bytes
    ends: list[int]

    def rows(self) -> Rows:
        """One row that holds all of it."""
        pieces = [self.raw[start:end] for start, end in zip([0, *self.ends], self.ends, strict=False)]
        symbols = np.array([sum(piece) % 1000 for piece in pieces], np.uint16)
        units = BlockUnits(np.array(self.ends, np.uint16), None, np.array([0, len(self.ends)]))
        documents: Any = SimpleNamespace(units=lambda *_: units, symbols=lambda *_: symbols, bags=None)
        span = Span(documents, 0, 0, 0, 0, len(self.raw), True, False, False, len(self.raw))
        views = UsedViews([], [], [], [LETTERS], Vocabulary({}), None)
        extras = Extras(len(self.raw) + 1, views, LETTERS, True).fill([Row(0, [span])])
        ids = torch.tensor([[RAW_OPEN, *(FIRST_BYTE + byte for byte in self.raw)]])
        ones = torch.ones_like(ids[:, 1:])
        positions = ones.cumsum(1) - 1
        tensors = {name: torch.from_numpy(array) for name, array in extras.items()}
        return Rows(ids[:, :-1], ids[:, 1:], positions, ones, 0 * ones, tensors)

    def starts(self, byte: int) -> bool:
        return byte == 0 or byte in self.ends


@st.composite
def futures(draw: st.DrawFn) -> tuple[Cut, Cut, int]:
    """Two documents and the place of a byte: up to it they have the same bytes and the same units have begun."""
    length = draw(st.integers(4, 20))
    byte = draw(st.integers(0, length - 2))
    past = draw(st.binary(min_size=byte + 1, max_size=byte + 1))
    begun = [end for end in range(1, byte + 1) if draw(st.booleans())]

    def future() -> Cut:
        later = draw(st.binary(min_size=length - byte - 1, max_size=length - byte - 1))
        ends = [end for end in range(byte + 1, length) if draw(st.booleans())]
        return Cut(past + later, [*begun, *ends, length])

    return future(), future(), byte


def inputs(objective: Objective, rows: Rows) -> tuple[Tensor, Tensor]:
    """Embeddings [T, D], and the hidden states [T, D]."""
    method, embed = objective.decoder.methods["boundaries"], objective.decoder.embed
    x_RTD = method.embed(embed(rows.inputs_RT), rows, embed)
    return x_RTD[0], objective._hidden(rows, None)[0]


@variants
def test_an_input_tells_at_most_one_bit_of_later_bytes(config: BoundariesConfig) -> None:
    """Whether its unit ends here, and only with prior=end."""
    objective, method = made_objective(config)
    method.begin(1, 10)
    seen = Counter[str]()

    @given(futures())
    @examples(max_examples=25)
    def law(drawn: tuple[Cut, Cut, int]) -> None:
        one, other, byte = drawn
        at = byte + 1  # behind the open mark
        (x_TD, hidden_TD), (y_TD, other_TD) = (inputs(objective, each.rows()) for each in (one, other))
        assert torch.equal(x_TD[:at], y_TD[:at])
        assert torch.allclose(hidden_TD[:at], other_TD[:at], rtol=0, atol=1e-12)
        ends = [each.starts(byte + 1) for each in (one, other)]
        if config.prior == "end" and ends[0] != ends[1]:
            flag_D = method.flag if ends[0] else -method.flag
            assert torch.allclose(x_TD[at] - y_TD[at], strength(config, 1, 10) * flag_D)
            seen["told"] += 1
        else:
            assert torch.equal(x_TD[at], y_TD[at])
            assert torch.allclose(hidden_TD[at], other_TD[at], rtol=0, atol=1e-12)
        seen["other ends"] += ends[0] != ends[1]

    law()
    assert seen["other ends"] > 1
    assert bool(seen["told"]) == (config.prior == "end")


# The schedule, and runs


def test_the_strength_is_a_function_of_the_step() -> None:
    at_once, fading = (BoundariesConfig(VIEW, "start", fraction=0.4, fade=fade) for fade in (False, True))
    assert [strength(at_once, step, 10) for step in range(6)] == [1, 1, 1, 1, 0, 0]
    assert [strength(fading, step, 10) for step in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]
    assert strength(BoundariesConfig(VIEW, "start", fraction=0, fade=True), 0, 10) == 0


RUN = [
    *(f"boundaries.units={VIEW}", "boundaries.prior=start", "boundaries.loss=unit", "boundaries.suffix=200"),
    *("boundaries.distance=unit", "boundaries.fraction=0.5", "boundaries.fade=true", "mixture.mode=translation"),
]
"""6 of 12 steps, over pairs too."""
NOTE = f"without the boundaries of {VIEW} that training had up to here"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    fit(dataset.folder, run, settings(*RUN))
    return run


def lines(run: Path, kind: str) -> Iterator[dict[str, Any]]:
    parsed = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return (line for line in parsed if line["kind"] == kind)


@pytest.mark.parametrize("stop", [3, 6], ids=["within", "at the end"])
def test_a_run_resumes_exactly(
    dataset: Dataset, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    run, real = tmp_path / "run", loop.take_step

    def take_step(trainer: Trainer, rate: float, batch: Batch) -> Any:
        if batch.cursor.step == stop:
            signal.raise_signal(signal.SIGTERM)
        return real(trainer, rate, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", take_step)
        assert fit(dataset.folder, run, settings(*RUN)).step == stop
    early = evaluate_run(run, quiet=True)
    assert fit(dataset.folder, run, settings(*RUN)).step == 12
    late = evaluate_run(run, quiet=True)
    assert early is not None
    assert early.to_dict()["notes"] == [NOTE]
    assert NOTE in early.table().splitlines()
    assert late is not None
    assert "notes" not in late.to_dict()
    found, expected = (saved_tensors(checkpoints(each)[-1] / "model") for each in (run, whole))
    assert {name for name in found if name.startswith("methods.boundaries.")}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert [line["raw_bits"] for line in lines(run, "val")] == [line["raw_bits"] for line in lines(whole, "val")]


def test_it_learns_only_while_it_is_on(whole: Path, dataset: Dataset, tmp_path: Path) -> None:
    """Its steps change what is learnt, and what is measured is the plain model."""
    plain = tmp_path / "plain"
    fit(dataset.folder, plain, settings(*RUN, "boundaries.fraction=0"))
    assert all(not value.any() for name, value in saved(plain).items() if "boundaries" in name)
    assert all(value.any() for name, value in saved(whole).items() if "boundaries" in name)
    assert not torch.equal(saved(plain)["head.weight"], saved(whole)["head.weight"])
    without = tmp_path / "without"
    fit(dataset.folder, without, settings("mixture.mode=translation"))
    assert all(torch.equal(value, saved(plain)[name]) for name, value in saved(without).items())


def saved(run: Path) -> dict[str, torch.Tensor]:
    return saved_tensors(checkpoints(run)[-1] / "model")


def test_a_measurement_says_that_training_still_has_boundaries(whole: Path) -> None:
    noted = {line["step"]: line.get("notes") for line in lines(whole, "val")}
    assert noted == {4: [NOTE], 8: None, 12: None}
    assert in_words({"raw_bits_per_byte": 2.0, "notes": [NOTE]}) == f"val 2.000 bits/byte ({NOTE})"
    method = Boundaries(settings(*RUN).boundaries, ModelConfig())
    assert [bool(method.note(step, 12)) for step in (1, 6, 7)] == [True, True, False]


def test_its_parameters_count(dataset: Dataset, tmp_path: Path) -> None:
    with_them, without = (Trainer.prepare(dataset, tmp_path, settings(*more)) for more in (RUN, RUN[-1:]))
    assert isinstance(with_them.model.methods["boundaries"], Boundaries)
    added = 32 + 200 * 32
    size, plain = size_of(with_them.model), size_of(without.model)
    assert (size.parameters - plain.parameters, size.without_embeddings - plain.without_embeddings) == (added, 32)
    assert with_them.memory.state_bytes - without.memory.state_bytes == 16 * added
    assert f"model   {size.parameters:,} parameters" in "\n".join(header(with_them, 1, 1.0))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("boundaries.units=bpe", "boundaries.units='bpe' changes nothing by itself"),
        ("boundaries.prior=end", "need boundaries.units"),
        ("boundaries.suffix=9", "need boundaries.units"),
    ],
)
def test_half_of_it_is_refused(given: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(None, None, [given])


def test_distances_in_units_need_rotary_positions() -> None:
    with pytest.raises(ConfigError, match=r"which model\.reach=8 replaces by biases"):
        Boundaries(BoundariesConfig(VIEW, distance="unit"), ModelConfig(reach=8))
