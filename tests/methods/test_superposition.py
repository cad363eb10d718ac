"""Superposition: embeddings, loss and gradients against their definition in float64, one position after another."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pcdata.dataset import Split
from pcdata.dataset.vocab import PAD
from pctrain.config import ModelConfig, RunConfig, SuperpositionConfig
from pctrain.data.batch import BAGS, IGNORE, Batch
from pctrain.data.loader import Loader
from pctrain.inference.export import llama_tensors
from pctrain.methods.make import make_model
from pctrain.model.decoder import Decoder, Inputs, init_weights
from pctrain.model.loss import Objective
from pctrain.model.method import Rows
from pctrain.training.optim import make_optimizer
from pctrain.training.step import micro_batches
from tests.data.made_dataset import CHUNKS, LETTERS, make_documents, make_split

WIDTH = 16
KINDS = {
    "fixed": SuperpositionConfig(bag=3, fraction=1.0),
    "power": SuperpositionConfig(bag=4, fraction=1.0, weights="power"),
    "tokens": SuperpositionConfig(bag=2, fraction=1.0, view=CHUNKS),
    "tokens with ids of their own": SuperpositionConfig(bag=3, fraction=1.0, view=LETTERS),
    "units": SuperpositionConfig(bag=5, fraction=1.0, units=LETTERS),
    "order in": SuperpositionConfig(bag=5, fraction=1.0, units=LETTERS, order="in"),
    "order both": SuperpositionConfig(bag=5, fraction=1.0, units=CHUNKS, order="both", weights="power"),
    "mixed": SuperpositionConfig(bag=6, fraction=0.0, units=LETTERS, mixture=True, order="both"),
}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return make_split(tmp_path_factory.mktemp("made"), make_documents(20, seed=4))


def run_of(kind: SuperpositionConfig, heads: int = 1, raw_heads: int = 0) -> RunConfig:
    model = ModelConfig(
        width=WIDTH,
        layers=1,
        attention_heads=2,
        kv_heads=1,
        hidden=24,
        predict_heads=heads,
        raw_predict_heads=raw_heads,
    )
    mode = "mixed" if kind.mixture else "raw"
    return RunConfig.from_dict(
        {
            "data": {"seq_len": 24, "rows": 3, "views": {LETTERS: 1.0} if kind.mixture else {}},
            "mixture": {"mode": mode, "warmup_fraction": 0.0, "share": 0.6},
            "train": {"steps": 5},
        }
        | {"superposition": vars(kind), "model": vars(model)}
    )


def made(split: Split, config: RunConfig, *, double: bool = True) -> tuple[Loader, Decoder, Objective]:
    loader = Loader(split, config.data, config.mixture, steps=5, seed=0, superposition=config.superposition)
    model = make_model(config, loader.vocabulary.padded_size)
    init_weights(model, 1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.methods.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) / 4
        for ahead in model.ahead:
            ahead.turn.weight.copy_(torch.randn(WIDTH, WIDTH, generator=generator) / 4)
    model = model.double() if double else model
    return loader, model, Objective(model, [(ids.first_id, ids.end_id) for ids in loader.views.ids])


def rows_of(batch: Batch, micro_rows: int = 0) -> list[Rows]:
    return [*micro_batches(batch, micro_rows, len(batch.arrays.inputs_RT), torch.device("cpu"))]


def slow_loss(model: Decoder, rows: Rows, config: RunConfig) -> Tensor:
    """By the definition: bags are summed and predicted symbol by symbol."""
    kind, gains = config.superposition, dict(model.methods.named_parameters())
    gain_in, gain_out = gains.get("superposition.gain_in"), gains.get("superposition.gain_out")
    bags = rows.extras[BAGS].tolist()

    def held(row: int, column: int) -> list[int]:
        return [id_ for id_ in bags[row][column] if id_ != PAD]

    x = torch.stack(
        [
            torch.stack([_input(model, int(id_), held(r, t), gain_in) for t, id_ in enumerate(line)])
            for r, line in enumerate(rows.inputs_RT)
        ]
    )
    hidden = model.run(x, Inputs(rows.inputs_RT, rows.positions_RT, rows.samples_RT))
    total = torch.zeros((), dtype=torch.float64)
    for r, t in torch.nonzero(rows.targets_RT != IGNORE).tolist():
        terms = []
        for k in range(config.model.predict_heads):
            if t + k >= rows.inputs_RT.shape[1] or rows.samples_RT[r, t + k] != rows.samples_RT[r, t]:
                continue
            if (target := int(rows.targets_RT[r, t + k])) == IGNORE:
                continue
            state = hidden[r, t] if k == 0 else model.ahead[k - 1](hidden[r, t])
            bag = held(r, t + k + 1)
            weights = [1 / (1 + j) if kind.weights == "power" else 1.0 for j in range(len(bag) or 1)]
            nats = [
                -torch.log_softmax(model.head(state * gain_out[j] if bag and gain_out is not None else state), 0)[id_]
                for j, id_ in enumerate(bag or [target])
            ]
            terms.append(sum(w * n for w, n in zip(weights, nats, strict=True)) / sum(weights))
        total = total + sum(terms) / len(terms)
    return total


def _input(model: Decoder, id_: int, bag: list[int], gain_in: Tensor | None) -> Tensor:
    if not bag:
        return model.embed.weight[id_]
    parts = [model.embed.weight[each] * (1 if gain_in is None else gain_in[j]) for j, each in enumerate(bag)]
    return torch.stack(parts).mean(0)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("heads", [1, 2])
def test_loss_and_gradients_are_their_definition(split: Split, name: str, heads: int) -> None:
    config = run_of(KINDS[name], heads)
    loader, model, objective = made(split, config)
    batch = loader.next_batch()
    (rows,) = rows_of(batch)
    sums, slow = objective(*rows), slow_loss(model, rows, config)
    assert sums.nats.item() == pytest.approx(slow.item(), rel=1e-6)  # norms are float32
    assert sums.nats_W.sum().item() == pytest.approx(sums.nats.item(), rel=1e-6) or heads > 1
    parameters = [*model.parameters()]
    found, wanted = (torch.autograd.grad(each, parameters, retain_graph=True) for each in (sums.nats, slow))
    for (parameter, _), one, other in zip(model.named_parameters(), found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5), parameter
        assert one.any(), f"{parameter} learns nothing"


@pytest.mark.parametrize("name", ["tokens with ids of their own", "order both"])
def test_heads_for_raw_bytes_have_nothing_to_predict_in_bags(tmp_path: Path, name: str) -> None:
    """But for empty documents, which always appear raw."""
    split = make_split(tmp_path, [document for document in make_documents(20, seed=4) if document])
    losses = []
    for raw_heads in (0, 3):
        loader, _, objective = made(split, run_of(KINDS[name], 1, raw_heads))
        (rows,) = rows_of(loader.next_batch())
        losses.append(objective(*rows).nats.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_does_not_depend_on_how_rows_are_split(split: Split, name: str) -> None:
    loader, _, objective = made(split, run_of(KINDS[name]))
    batch = loader.next_batch()
    whole, parts = ([objective(*rows) for rows in rows_of(batch, micro)] for micro in (0, 1))
    assert sum(part.nats.item() for part in parts) == pytest.approx(whole[0].nats.item(), rel=1e-6)
    assert torch.equal(sum(part.targets_W for part in parts), whole[0].targets_W)  # type: ignore[arg-type]


def test_bags_of_gains_one_are_bags_without_order(split: Split) -> None:
    """Gains begin as nothing at all."""
    losses = []
    for order in ("none", "in", "both"):
        config = run_of(SuperpositionConfig(bag=5, fraction=1.0, units=LETTERS, order=order))
        loader, model, objective = made(split, config)
        init_weights(model, 1)
        losses.append(objective(*rows_of(loader.next_batch())[0]).nats.item())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@cache
def _swapped(name: str, folder: Path) -> float:
    """How much the states move when two bytes of one bag are exchanged."""
    config = run_of(KINDS[name])
    loader, model, _ = made(make_split(folder, make_documents(20, seed=4)), config)
    (rows,) = rows_of(loader.next_batch())
    bags = rows.extras[BAGS].clone()
    r, c = torch.nonzero((bags[:, :-2, 1] != PAD) & (bags[:, :-2, 0] != bags[:, :-2, 1]))[0].tolist()
    bags[r, c, :2] = bags[r, c, :2].flip(0)
    method, x = model.methods["superposition"], model.embed(rows.inputs_RT)
    before, after = (
        method.embed(x, rows._replace(extras={BAGS: each}), model.embed) for each in (rows.extras[BAGS], bags)
    )
    return float((before - after).detach().abs().max())


def test_only_gains_keep_the_order_within_a_bag(tmp_path: Path) -> None:
    assert _swapped("units", tmp_path / "a") == pytest.approx(0, abs=1e-12)
    assert _swapped("order in", tmp_path / "b") > 0.01


def test_a_batch_without_bags_has_the_loss_of_a_plain_decoder_and_exports_as_one(split: Split) -> None:
    config = run_of(SuperpositionConfig(bag=4, fraction=0.0, order="both"))
    loader, model, objective = made(split, config)
    plain = Decoder(config.model, loader.vocabulary.padded_size).double()
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if "methods." not in name})
    batch = loader.next_batch()
    assert batch.extras == {}
    (rows,) = rows_of(batch)
    sums = objective(*rows)
    assert torch.equal(sums.nats, Objective(plain, [])(*rows[:5]).nats)
    gradients = torch.autograd.grad(sums.nats, [*model.methods.parameters()])
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
    ours, theirs = llama_tensors(model), llama_tensors(plain)
    assert ours.keys() == theirs.keys()


def test_gains_do_not_decay(split: Split) -> None:
    config = run_of(KINDS["order both"])
    _, model, _ = made(split, config, double=False)
    optimizer = make_optimizer(model, config.optim)
    spared = {id(p) for group in optimizer.param_groups if not group["weight_decay"] for p in group["params"]}
    assert {id(gain) for gain in model.methods.parameters()} <= spared
