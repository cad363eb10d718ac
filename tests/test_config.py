"""Settings: what is merged over what, and that a value no run can have is refused with its name and the value."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pctrain.cli import main
from pctrain.config import RENAMED, SETTINGS, RunConfig, presets, resolve
from pctrain.errors import ConfigError
from pctrain.settings import flat

SECTIONS = {
    field.name: dataclasses.fields(type(getattr(RunConfig(), field.name))) for field in dataclasses.fields(RunConfig)
}
NUMBERS = [
    f"{section}.{field.name}"
    for section, fields in SECTIONS.items()
    for field in fields
    if field.type in ("int", "float") and field.name != "seed"
]
WORDS = [f"{section}.{field.name}" for section, fields in SECTIONS.items() for field in fields if field.type == "str"]


def refused(setting: str) -> str:
    with pytest.raises(ConfigError) as error:
        resolve(None, None, [setting])
    return str(error.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["-1", "NaN", "-1e-3", "Infinity", "true", '"many"'])
def test_no_number_is_negative_or_none_at_all(name: str, value: str) -> None:
    sentence = refused(f"{name}={value}")
    assert sentence.startswith(f"{name} must be "), sentence
    assert str(json.loads(value)) in sentence


@pytest.mark.parametrize(
    ("setting", "limit"),
    [
        ("optim.beta1=1", "at least 0 and below 1"),
        ("optim.beta2=1.5", "at least 0 and below 1"),
        ("optim.lr=0", "above 0"),
        ("optim.lr_final=1.1", "at least 0 and at most 1"),
        ("optim.lr_decay_fraction=3.0", "at least 0 and at most 1"),
        ("mixture.share=1.01", "at least 0 and at most 1"),
        ("mixture.warmup_fraction=2.0", "at least 0 and at most 1"),
        ("data.short_sample_share=1.5", "at least 0 and at most 1"),
        ("data.seq_len=7", "at least 8"),
        ("model.rope_base=0", "at least 1"),
        ("model.norm_eps=0", "above 0 and below 1"),
        ("model.attention_heads=3", "an even multiple"),
        ("model.kv_heads=3", "a multiple of model.kv_heads"),
        ("model.raw_predict_heads=1", "0 or more than model.predict_heads=1"),
        ("data.views.bpe=0", "above 0"),
        ("data.weights.a=-1", "above 0"),
    ],
)
def test_what_no_run_can_have_is_refused(setting: str, limit: str) -> None:
    name, _, value = setting.partition("=")
    sentence = refused(setting)
    assert name in sentence
    assert limit in sentence
    assert value in sentence


FREE = (
    "runtime.device",
    "superposition.view",
    "superposition.units",
    "alignment.view",
    "boundaries.units",
    "patched.patches",
)
"""Words that are names, or checked where they are used."""


@pytest.mark.parametrize("name", [name for name in WORDS if name not in FREE])
def test_a_word_that_means_nothing_is_refused_with_those_that_do(name: str) -> None:
    sentence = refused(f"{name}=sideways")
    assert sentence.startswith(f"{name} must be ")
    assert sentence.endswith("got 'sideways'")


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    assert refused("train.colour=3").startswith("unknown setting train.colour; known here: steps, seed, ")
    assert refused("steps=3") == "unknown setting steps; did you mean train.steps?"
    assert refused("train=3") == "train must be a section of settings, got 3"
    assert refused("optim.lr") == "--set optim.lr: expected section.name=value"
    assert refused('data.where.size=["3"]').startswith("data.where.size: no such column")


def test_the_later_goes_before_the_earlier(tmp_path: Path) -> None:
    """Defaults, preset, file, settings."""
    (tmp_path / "run.toml").write_text("[optim]\nlr = 5e-4\n[train]\nsteps = 77\n[data.views]\nbpe = 2\n")
    made = resolve("tiny", tmp_path / "run.toml", ["train.steps=78", "data.views.zstd=1"])
    assert (made.optim.beta1, made.model.width, made.optim.lr, made.train.steps) == (0.9, 128, 5e-4, 78)
    assert made.data.views == {"bpe": 2.0, "zstd": 1.0}


@pytest.mark.parametrize("name", [None, *presets()])
def test_settings_survive_being_written(name: str | None) -> None:
    made = resolve(name, None, ['data.where={"lang": ["Python"]}', "data.views.bpe=2"])
    assert RunConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_any_value_makes_settings_or_a_sentence(value: object) -> None:
    for name in ("train", "data.views", "data.where", "train.steps", "runtime.compile"):
        with suppress(ConfigError):
            resolve(None, None, [f"{name}={json.dumps(value)}"])


OTHER_VALUES = {
    "predict_heads": 2,
    "raw_predict_heads": 2,
    "beta2": 0.5,
    "device": "cpu",
    "beta1": 0.5,
    "largest_norm": 3.0,
}


def another_value(name: str) -> object:
    """One that the setting does not have by default."""
    default = flat(RunConfig().to_dict())[name]
    if name.rpartition(".")[2] in OTHER_VALUES:
        return OTHER_VALUES[name.rpartition(".")[2]]
    if isinstance(default, str):
        return next(word for word in SETTINGS[name].choices if word != default)
    return (not default) if isinstance(default, bool) else type(default)(1) if default != 1 else 2


@pytest.mark.parametrize("old", RENAMED)
def test_an_earlier_name_means_the_setting_that_it_is_now(old: str, tmp_path: Path) -> None:
    new = RENAMED[old]
    value = another_value(new)
    made = resolve(None, None, [f"{old}={json.dumps(value)}"])
    assert flat(made.to_dict())[new] == value != flat(RunConfig().to_dict())[new]
    assert resolve(None, None, [f"{new}={json.dumps(value)}"]) == made
    section, _, name = old.partition(".")
    assert RunConfig.from_dict({section: {name: value}}) == made
    (tmp_path / "old.toml").write_text(f"[{section}]\n{name} = {json.dumps(value)}\n")
    default = json.dumps(flat(RunConfig().to_dict())[new])
    assert resolve(None, tmp_path / "old.toml", [f"{new}={default}"]) == RunConfig(), "the later layer is the one"


def test_a_setting_under_two_names_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^optim\.lr is given twice, once under an earlier name; leave out one$"):
        RunConfig.from_dict({"train": {"lr": 1.0}, "optim": {"lr": 1.0}})


def test_a_misspelt_setting_is_refused_with_the_likeliest() -> None:
    assert refused("optim.weight_decy=1") == "unknown setting optim.weight_decy; did you mean optim.weight_decay?"
    assert refused("model.lr=1") == "unknown setting model.lr; did you mean optim.lr?"
    assert refused("optm.lr=1").startswith("unknown setting optm; ")


@pytest.mark.parametrize("preset", [None, "tiny", "published-7b"])
def test_the_list_of_settings_is_a_file_for_config(preset: str | None, tmp_path: Path) -> None:
    chosen = [] if preset is None else ["--preset", preset]
    listed = CliRunner().invoke(main, ["settings", *chosen])
    assert listed.exit_code == 0, listed.output
    assert max(map(len, listed.stdout.splitlines())) <= 100
    (tmp_path / "all.toml").write_text(listed.stdout)
    assert resolve(None, tmp_path / "all.toml", []) == resolve(preset, None, [])
    written = tomllib.loads(listed.stdout)
    assert {f"{section}.{name}" for section, table in written.items() for name in table} == SETTINGS.keys()


def test_a_section_of_settings_says_what_each_means_and_may_be() -> None:
    said = " ".join(CliRunner().invoke(main, ["settings", "data", "optim"]).stdout.replace("#", "").split())
    assert (
        "a row holds seq_len + 1 symbols. At least 8 and at most 16,777,216. A resume may not change it. seq_len = 1024"
        in said
    )
    assert "One of cosine, wsd. schedule =" in said
    assert "[data]" in said
    assert "[model]" not in said
    refused = CliRunner().invoke(main, ["settings", "optm"])
    assert (refused.exit_code, refused.stderr) == (1, "error: there is no section 'optm'; did you mean optim?\n")
