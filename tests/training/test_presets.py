"""Every preset is a model that can take a step: a real one, or on the meta device where that would fill the memory."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from pcdata.dataset import Dataset
from pcdata.dataset.vocab import RAW_IDS
from pctrain.cli import main
from pctrain.config import RunConfig, preset_text, presets, resolve
from pctrain.data.schedule import Schedule
from pctrain.model.decoder import Decoder
from pctrain.model.loss import Objective
from pctrain.training.optim import make_optimizer
from pctrain.training.step import take_step
from pctrain.training.trainer import Trainer
from tests.made_run import make_dataset

SIZES = {"tiny": 1e6, "small": 50e6, "base": 150e6, "large": 0.5e9, "xl": 1.5e9}
"""Parameters with a vocabulary of 16k for all but tiny, which has a small one."""
SIZES |= {"neural-1m": 1e6, "neural-5m": 5e6, "neural-40m": 40e6}
"""Of a codec's byte models, which have raw ids alone."""

PUBLISHED = {
    "published-0.5b": (1024, 28, 8, 4096, 1.2e-3, 0.47e9),
    "published-1.5b": (2048, 20, 16, 8192, 9e-4, 1.34e9),
    "published-4b": (3072, 32, 24, 9216, 7e-4, 3.93e9),
    "published-7b": (4096, 32, 32, 12288, 5e-4, 6.98e9),
    "published-14b": (5120, 40, 40, 16384, 5e-4, 14.26e9),
}
"""Width, layers, heads, feed-forward and learning rate of the published code (apps/evabyte/configs), and how many
parameters that makes in layers."""
SIZES |= {name: float(name.removeprefix("published-").removesuffix("b")) * 1e9 for name in PUBLISHED}

CUT = [
    "data.seq_len=16",
    "data.rows=1",
    "train.steps=1",
    "runtime.compile=false",
    'runtime.device="cpu"',
    "runtime.prefetch=0",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


def test_the_table_above_is_complete() -> None:
    assert set(presets()) == set(SIZES)


def test_the_list_has_every_preset_with_its_size_and_use() -> None:
    listed = CliRunner().invoke(main, ["presets", "--json"])
    assert listed.exit_code == 0, listed.output
    found = {preset["name"]: preset for preset in json.loads(listed.stdout)}
    assert found.keys() == SIZES.keys()
    table = CliRunner().invoke(main, ["presets"]).stdout
    for name, preset in found.items():
        assert preset["summary"].endswith(".")
        assert len(preset["summary"]) < 80
        assert preset["ids"] == (RAW_IDS if name.startswith("neural") else RAW_IDS + 16_384)
        with torch.device("meta"):
            model = Decoder(RunConfig.from_dict(preset["settings"]).model, preset["ids"])
        assert preset["parameters"] == sum(parameter.numel() for parameter in model.parameters())
        assert preset["without_embeddings"] < preset["parameters"]
        assert preset["without_embeddings"] / SIZES[name] == pytest.approx(1, abs=0.35)
        size = f"{preset['parameters'] / 1e6:,.1f}"
        summary = r"\s+".join(map(re.escape, preset["summary"].split()))
        assert re.search(rf"^{name} +{size} .* {summary}$", table, re.MULTILINE)
    assert max(map(len, table.splitlines())) <= 80


def test_a_preset_is_printed_as_a_file_for_config(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(CliRunner().invoke(main, ["presets", "small"]).stdout)
    assert resolve(None, tmp_path / "own.toml", []) == resolve("small", None, [])
    unknown = CliRunner().invoke(main, ["presets", "huge"])
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("error: unknown preset 'huge'; known: base, large")
    misspelt = CliRunner().invoke(main, ["presets", "tinny"])
    assert misspelt.stderr == "error: unknown preset 'tinny'; did you mean tiny?\n"


@pytest.mark.parametrize("name", SIZES)
def test_the_size_is_as_announced_and_a_meta_step_runs(name: str) -> None:
    config = resolve(name, None, [])
    with torch.device("meta"):
        small = RAW_IDS if name.startswith("neural") else 512
        model = Decoder(config.model, small if SIZES[name] < 1e7 or small == RAW_IDS else 16_704)
        optimizer = make_optimizer(model, config.optim)
        rows = torch.zeros(1, config.data.seq_len, dtype=torch.long)
        sums = Objective(model, [])(rows, rows, rows, rows, rows)
        sums.nats.backward()
        optimizer.step()
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert 0.8 * SIZES[name] < n_parameters < 1.2 * SIZES[name]
    assert config.model.reach or model.layers[0].attention.head_width in (32, 64, 128)  # what flex attention can


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_is_the_published_model(name: str) -> None:
    width, layers, heads, hidden, lr, n_in_layers = PUBLISHED[name]
    config = resolve(name, None, [])
    shape = config.model
    assert (shape.width, shape.layers, shape.attention_heads, shape.hidden) == (width, layers, heads, hidden)
    assert (shape.kv_heads, shape.predict_heads, shape.raw_predict_heads) == (heads, 1, 2)
    assert (shape.rope_base, shape.norm_eps, shape.tie_embeddings) == (1e5, 1e-6, False)
    assert (shape.embed_init_std, shape.layer_init_std, shape.head_init_std) == (1.0, 0.02, 0.02)
    assert (config.data.seq_len, config.data.rows, config.optim.lr) == (16_384, 128, lr)
    with torch.device("meta"):
        model = Decoder(shape, 96_960)  # the vocabulary of its token proxy
    counted = sum(parameter.numel() for name, parameter in model.named_parameters() if name.startswith("layers."))
    assert counted == layers * (4 * width**2 + 3 * width * hidden + 2 * width)
    assert counted == pytest.approx(n_in_layers, rel=0.005)


def test_published_presets_differ_in_shape_and_rate_alone() -> None:
    bare = []
    for name in PUBLISHED:
        values = tomllib.loads(preset_text(name))
        for setting in ("width", "layers", "attention_heads", "kv_heads", "hidden"):
            del values["model"][setting]
        del values["optim"]["lr"]
        bare.append(values)
    assert all(values == bare[0] for values in bare)


def test_published_presets_have_the_published_schedules() -> None:
    config = resolve("published-7b", None, [])
    schedule = Schedule(config.mixture, config.train.steps)
    phases = [schedule.at(step) for step in (0, 5_000, 9_999, 10_000, 49_999)]
    assert [phase.share for phase in phases] == pytest.approx([0.4, 0.65, 0.89995, 0.9, 0.9])
    assert [phase.mode for phase in phases] == ["translation"] * 3 + ["mixed"] * 2
    assert config.mixture.pair_order == "random"
    optimizer = [getattr(config.optim, name) for name in ("beta1", "beta2", "eps", "weight_decay", "clip", "lr_final")]
    assert optimizer == [0.9, 0.95, 1e-15, 0.1, 1.0, 0.1]
    assert (config.optim.lr_warmup_steps, config.optim.schedule, config.optim.weight_decay_on) == (500, "cosine", "all")


def test_what_the_published_recipe_adds_is_off_elsewhere() -> None:
    """So that a run of another preset, or one saved before these settings, means what it did."""
    added = {"embed_init_std": 0.0, "layer_init_std": 0.0, "head_init_std": 0.0, "weight_decay_on": "matrices"}
    for name in set(presets()) - set(PUBLISHED):
        config = resolve(name, None, [])
        settings = {**config.to_dict()["model"], **config.to_dict()["optim"]}
        assert {setting: settings[setting] for setting in added} == added
        saved = config.to_dict()
        for section in ("model", "optim"):
            saved[section] = {setting: value for setting, value in saved[section].items() if setting not in added}
        assert RunConfig.from_dict(saved) == config


def test_the_byte_baseline_has_eight_heads_over_raw_ids() -> None:
    config = resolve("published-0.5b", None, ["model.raw_predict_heads=8"])
    with torch.device("meta"):
        model = Decoder(config.model, 16_704)
    assert [tuple(model.output_weight(ahead).shape) for ahead in range(8)] == [(16_704, 1024)] + [(RAW_IDS, 1024)] * 7


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "small",
        "neural-1m",
        pytest.param("base", marks=pytest.mark.slow),
        pytest.param("large", marks=pytest.mark.slow),
    ],
)
def test_a_real_step_runs(dataset: Dataset, tmp_path: Path, name: str) -> None:
    take_one(Trainer.prepare(dataset, tmp_path, resolve(name, None, CUT)))


def test_a_real_step_of_the_published_recipe_runs(dataset: Dataset, tmp_path: Path) -> None:
    """Of its smallest model, cut down."""
    smaller = ["model.width=64", "model.layers=2", "model.hidden=256"]
    take_one(Trainer.prepare(dataset, tmp_path, resolve("published-0.5b", None, [*CUT, *smaller])))


def take_one(trainer: Trainer) -> None:
    before = trainer.model.layers[-1].feed.down.weight.detach().clone()
    losses = take_step(trainer, 1e-3, trainer.loader.next_batch())
    assert 4 < losses.nats / losses.targets < 9
    assert not torch.equal(before, trainer.model.layers[-1].feed.down.weight)
