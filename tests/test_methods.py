"""``--method``: every method trains from one option, and says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pctrain as api
from pcdata.dataset import Dataset
from pctrain.config import SETTINGS as KNOWN
from pctrain.errors import ConfigError
from pctrain.method_presets import METHODS, VIEW, by_method
from pctrain.settings import flat
from pctrain.training.run_folder import read_settings
from tests.command_lines import pctrain
from tests.data.made_dataset import make_documents, write_dataset
from tests.made_run import SETTINGS, make_dataset
from tests.made_run import VIEW as TRIPLES

SET = [word for setting in [*SETTINGS, "train.steps=4", "eval.every=0"] for word in ("--set", setting)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_with_its_settings(dataset: Dataset, tmp_path: Path, method: str) -> None:
    for _ in range(2):  # the second call finds it finished, with the same settings
        result = pctrain("fit", dataset.folder, "-o", tmp_path / "run", "--method", method, *SET)
        assert result.exit_code == 0, result.output
    assert "is finished" in result.stderr
    found = flat(read_settings(tmp_path / "run").config.to_dict())
    for name, value in METHODS[method].settings.items():
        assert found[name.replace(VIEW, TRIPLES)] == (TRIPLES if value == VIEW else value)


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_made_of_settings_that_exist(method: str) -> None:
    assert {".".join(name.split(".")[:2]) for name in METHODS[method].settings} <= {*KNOWN}
    assert len(METHODS[method].settings) <= 20


def test_a_method_of_one_view_needs_to_know_which(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "two", make_documents(9, seed=1))
    write_dataset(tmp_path / "none", make_documents(9, seed=1), views=())
    with pytest.raises(ConfigError, match="uses one view, named with --view; there are letters, chunks"):
        by_method("unit-bags", [], [tmp_path / "two"])
    with pytest.raises(ConfigError, match="the dataset has none: add one with pcdata add-view"):
        by_method("unit-bags", [], [tmp_path / "none"])
    assert {"superposition": {"units": "chunks"}} in by_method("unit-bags", ["chunks"], [tmp_path / "two"])
    assert by_method("tst", [], [tmp_path / "two"]), "needs none"


def test_a_misspelt_method_is_refused_with_the_nearest(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="unknown method 'unit_bags'; did you mean unit-bags"):
        by_method("unit_bags", [], [dataset.folder])


def test_methods_are_listed(dataset: Dataset) -> None:
    table = pctrain("methods").stdout
    assert [line.split()[0] for line in table.splitlines() if not line.startswith(" ")] == [*METHODS]
    assert max(map(len, table.splitlines())) <= 80
    assert "superposition.bag=4" in pctrain("methods", "tst").stdout.splitlines()
    assert [each["name"] for each in json.loads(pctrain("methods", "--json").stdout)] == [*METHODS]
    assert pctrain("methods", "tts").exit_code == 1


def test_python_trains_by_method_too(dataset: Dataset, tmp_path: Path) -> None:
    small = dict(setting.split("=") for setting in SETTINGS if "device" not in setting)
    settings = {name: int(value) for name, value in small.items()} | {"train.steps": 2}
    run = api.fit(dataset, tmp_path / "run", method="unit-bags", settings=settings)
    assert run.config.superposition.units == TRIPLES


def test_a_method_switches_others_off(dataset: Dataset, tmp_path: Path) -> None:
    assert pctrain("fit", dataset.folder, "-o", tmp_path / "run", "--method", "tst", *SET).exit_code == 0
    again = pctrain("fit", dataset.folder, "-o", tmp_path / "run", "--method", "raw", *SET)
    assert again.exit_code == 1
    assert "this run was begun with superposition.bag = 4, now it is 0" in again.stderr
