"""A study is read as it is written, or refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pctrain.config import RunConfig
from pctrain.methods.make import units_wanted
from tests.study.plans import PLAIN, TOOLS, written
from tools.study.plan import PLACEBO, StudyError, Trial, read_study
from tools.study.trial import config_of


def test_settings_of_an_arm_go_over_its_sizes_and_those_over_the_studys(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, PLAIN))
    names = [trial.name for trial in study.trials()]
    assert names == ["raw-s0", "bpe-s0", "bpe-placebo-s0", "bpe-s4", "bpe-placebo-s4"]
    raw, _, _, bpe, placebo = (study.settings_of(trial) for trial in study.trials())
    assert (raw["optim.lr"], raw["data.rows"], raw["mixture.mode"]) == (1, 3, "raw")
    assert (bpe["optim.lr"], bpe["train.seed"], bpe["data.views.bpe"]) == (2, 4, 1)
    assert placebo == {**bpe, "data.placebo": True}


RICH = """
[corpus.compressors]
bpe = "bpe"
[sizes.m]
flops = 10.0
settings = { "optim.lr" = 1, "data.rows" = 3 }
[sizes.l]
flops = 20.0
settings = {}
[[arms]]
name = "raw"
[[arms]]
name = "raw-l"
size = "l"
[[arms]]
name = "raw-as-bpe"
like = "bpe"
equal = "raw_symbols"
[[arms]]
name = "raw-other"
settings = { "optim.lr" = 2 }
[[arms]]
name = "bpe"
view = "bpe"
placebo = true
measured = true
"""


def test_what_an_arm_is(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, RICH))
    raw, large, like, other, bpe, placebo = study.arms.values()
    assert [arm.name for arm in study.arms.values() if arm.is_plain_raw] == ["raw", "raw-l"]
    assert [arm.is_placebo for arm in study.arms.values()] == [False] * 5 + [True]
    assert [arm.size for arm in study.arms.values()] == ["m", "l", "m", "m", "m", "m"], "the first, if none is named"
    assert study.size(large).flops == 20
    assert (bpe.measured, placebo.measured, placebo.placebo) == (True, False, False)
    rates = [study.settings_of(Trial(arm, 0)).get("optim.lr") for arm in (raw, large, like, other)]
    assert rates == [1, None, 1, 2], "an arm's settings go over its size's"


def test_a_study_that_extends_another_changes_what_it_names(tmp_path: Path) -> None:
    written(tmp_path, PLAIN)
    more = 'extends = "study.toml"\n[sizes.m]\nflops = 1.0\n[every_arm]\nseeds = [7]\n'
    study = read_study(written(tmp_path, more, "quick.toml"))
    assert [trial.name for trial in study.trials(["bpe"])] == ["bpe-s7"]
    assert (study.sizes["m"].flops, study.sizes["m"].settings) == (1.0, {"data.rows": 3})


@pytest.mark.parametrize("name", ["cpu.toml", "quick.toml"])
def test_the_studies_that_come_with_it_are_sound(name: str) -> None:
    study = read_study(TOOLS / name)
    assert {arm.view for arm in study.arms.values()} - {""} == {*study.corpus.compressors}
    assert {arm.size for arm in study.arms.values()} == {"s", "m", "l"}


@pytest.mark.parametrize("name", ["methods.toml", "methods-quick.toml"])
def test_the_comparison_of_methods_is_sound(name: str) -> None:
    """Every arm has settings that there are; and every one that reads a view or its units has a placebo."""
    study = read_study(TOOLS / name)
    assert study.tuning is not None
    configs = {trial.arm.name: config_of(study, trial, 4_000) for trial in study.trials()}
    for arm in study.arms.values():
        config = RunConfig.from_dict(configs[arm.name])
        reads = arm.view or config.superposition.units or units_wanted(config)
        assert (arm.name + PLACEBO in study.arms or arm.is_placebo) == bool(reads), arm.name
    budgets = [study.arms[name].budget for name in study.plain_raw("half-m")]
    assert min(budgets) < 1 < max(budgets)


@pytest.mark.parametrize("name", ["cpu.toml", "quick.toml", "gpu.toml", "neural.toml"])
def test_every_arm_has_what_it_is_read_against(name: str) -> None:
    study = read_study(TOOLS / name)
    plain = {arm.size for arm in study.arms.values() if arm.is_plain_raw}
    assert plain >= {arm.size for arm in study.arms.values() if arm.view}


def test_a_study_says_where_its_arms_run(tmp_path: Path) -> None:
    assert read_study(written(tmp_path, PLAIN)).device == "cpu"
    assert read_study(written(tmp_path, 'device = "cuda"\n' + PLAIN)).device == "cuda"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('view = "bpe"', 'view = "zip"'), "no view 'zip'"),
        (('name = "raw"', 'name = "Raw bytes"'), "small letters"),
        (('name = "raw"', 'name = "raw-"'), "single hyphens"),
        (('name = "raw"', 'name = "raw"\nlike = "bpe"'), "equal is one of"),
        (('name = "raw"', 'name = "raw"\nlike = "bpe"\nequal = "steps"'), "equal is one of"),
        (('name = "raw"', 'name = "raw"\nseeds = []'), "it needs a seed"),
        (('name = "raw"', 'name = "raw"\nlike = "zip"\nequal = "raw_bytes"'), "no arm 'zip'"),
        (('name = "raw"', 'name = "raw"\nsize = "xl"'), "no size 'xl'"),
        (('name = "raw"', 'name = "raw"\nbudget = 0'), "a budget above 0"),
        (('name = "raw"', 'name = "raw"\ncolour = "red"'), "colour"),
        (("[sizes.m]", "[size.m]"), "sizes"),
        (("flops", "flops ="), "is not TOML"),
        (("[settings]", "[setings]"), "unknown: setings"),
        (("flops = 10.0", "flops = 10.0\npositions = 5"), "flops or positions"),
        (("flops = 10.0", ""), "flops or positions"),
        (("[settings]", "[tuning]\nrates = [1e-3]\n[settings]"), "at least two learning rates"),
        (("[settings]", "[tuning]\nrates = [2e-3, 1e-3]\n[settings]"), "from low to high"),
        (("[settings]", "[tuning]\nrates = [1e-3, 2e-3]\npart = 0\n[settings]"), "tuning.part must be above 0"),
        (('name = "raw"', 'name = "raw"\ntuned_as = "zip"'), "no arm 'zip' with a learning rate of its own"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read_study(written(tmp_path, PLAIN.replace(*change, 1)))


def test_an_arm_or_a_seed_that_is_not_there_is_refused(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, PLAIN))
    with pytest.raises(StudyError, match="no arm 'zip'; the arms: raw, bpe, bpe-placebo"):
        study.trials(["zip"])
    with pytest.raises(StudyError, match="has the seed 9"):
        study.trials(["raw"], [9])
    with pytest.raises(StudyError, match="cannot be read"):
        read_study(tmp_path / "nothing.toml")
