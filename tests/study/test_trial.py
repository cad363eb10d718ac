"""What a trial is: every setting of its run, whether the study names it or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import pctrain.training.loop
from pctrain.cli import main
from pctrain.config import DataConfig, RunConfig
from pctrain.training.loop import Outcome
from tests.study.plans import PLAIN, TOOLS, written
from tools.study import shell
from tools.study.plan import Study, read_study
from tools.study.trial import config_of, is_same, settings_of


def config_of_first(study: Study) -> dict[str, Any]:
    return config_of(study, study.trials()[0], steps=7)


@pytest.mark.parametrize("arm", ["raw", "bpe-all-three"])
def test_its_settings_are_those_that_fit_runs_with(arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the default preset, too."""
    ran: list[RunConfig] = []

    def fit(folders: object, run: Path, config: RunConfig, **_: object) -> Outcome:
        ran.append(config)
        return Outcome(config.train.steps)

    monkeypatch.setattr(pctrain.training.loop, "fit", fit)
    study = read_study(TOOLS / "cpu.toml")
    (trial, *_) = study.trials([arm])
    words = [str(word) for word in shell.settings(settings_of(study, trial, 500))]
    done = CliRunner().invoke(main, ["fit", "shards", "-o", "run", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [config.to_dict() for config in ran] == [config_of(study, trial, 500)]


def test_a_study_that_names_no_order_of_rows_has_the_default(tmp_path: Path) -> None:
    config = config_of_first(read_study(written(tmp_path, PLAIN)))
    assert config["data"]["shuffle_rows"] == DataConfig().shuffle_rows > 0


def test_with_rows_in_another_order_it_is_another_trial(tmp_path: Path) -> None:
    shuffled = config_of_first(read_study(written(tmp_path, PLAIN)))
    ordered = config_of_first(
        read_study(written(tmp_path, PLAIN.replace("[settings]", '[settings]\n"data.shuffle_rows" = 0')))
    )
    assert ordered != shuffled
    assert ordered == {**shuffled, "data": {**shuffled["data"], "shuffle_rows": 0}}


def test_a_setting_that_was_added_since_must_have_its_default(tmp_path: Path) -> None:
    now = config_of_first(read_study(written(tmp_path, PLAIN)))
    before = {name: dict(section) for name, section in now.items() if name != "superposition"}
    del before["mixture"]["splice_bytes"]
    assert is_same(now, now)
    assert is_same(before, now)
    assert not is_same(before, {**now, "superposition": {**now["superposition"], "bag": 4}})
    assert not is_same(now, {**now, "superposition": {**now["superposition"], "bag": 4}})
    del before["data"]["shuffle_rows"]
    assert not is_same(before, now), "rows were not shuffled then, whatever the default is now"
    assert not is_same({}, now)
