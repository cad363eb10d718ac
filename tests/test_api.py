"""``import pcdata`` and ``import pctrain``: every example in their docstrings, and the same results as the commands."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pcdata
import pctrain
from pcdata.api import Options, TrialOptions
from pcdata.building.options import BuildOptions, DatasetOptions
from pcdata.options import options_in
from tests.building.corpora import assert_same_tree, write_code


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    write_code(folder / "src", files=50)
    return folder


def test_the_examples_of_pcdata_run(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(verbose=False)
    functions = [getattr(pcdata, name) for name in ("build", "open", "add_view", "drop_view", "stats", "verify")]
    examples = 0
    for function in functions:
        for test in finder.find(function, globs={"pcdata": pcdata}):
            said: list[str] = []
            assert runner.run(test, out=said.append).failed == 0, "".join(said)
            examples += len(test.examples)
    assert examples >= 7


SMALL = {
    "data.seq_len": 64, "data.rows": 2, "model.width": 16, "model.layers": 1, "model.attention_heads": 2,
    "model.kv_heads": 1, "model.hidden": 16, "train.steps": 4, "eval.bytes": 500, "runtime.device": "cpu",
}  # fmt: skip


def test_the_examples_of_pctrain_run(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    if not (work / "shards").exists():
        pcdata.build("src/", "shards/", ["bpe:vocab_size=300"], val_fraction=0.1)
    names = {"pctrain": pctrain, "SMALL": SMALL}
    runner, examples = doctest.DocTestRunner(verbose=False), 0
    for example in (pctrain.fit, pctrain.Run, pctrain.Run.evaluate, pctrain.Run.generate, pctrain.Run.export):
        for test in doctest.DocTestFinder(recurse=False).find(example, globs=names):
            said: list[str] = []
            assert runner.run(test, out=said.append, clear_globs=False).failed == 0, "".join(said)
            names |= test.globs
            examples += len(test.examples)
    assert examples >= 8
    run = pctrain.open("run")
    assert "raw bytes" in str(run.evaluate())
    assert {line["kind"] for line in run.metrics} == {"start", "train", "val"}
    assert repr(run) == "<Run 'run': 4 of 4 steps>"


@pytest.mark.parametrize("given", [{"data": 1}, {"data.views": 1}, {"data.views": ["bpe"]}])
def test_settings_that_are_no_tables_are_refused_by_name(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(pctrain.PctrainError, match=f"{next(iter(given))} must be a (table|section)"):
        pctrain.fit(tmp_path, tmp_path / "run", settings=given)


def test_a_build_is_that_of_the_command(work: Path) -> None:
    pcdata.build(work / "src", work / "by-api", ["gzip", "bpe:vocab_size=300"], val_fraction=0.1, langs=["python"])
    arguments = ["build", work / "src", "-o", work / "by-command", "-c", "gzip", "-c", "bpe:vocab_size=300"]
    arguments += ["--val-fraction", "0.1", "--lang", "python", "--quiet"]
    subprocess.run([sys.executable, "-m", "pcdata.cli", *map(str, arguments)], check=True)
    assert_same_tree(work / "by-api", work / "by-command")


@pytest.mark.parametrize("workers", [-1, 100_001])
def test_a_number_of_workers_that_cannot_be_is_refused_by_name(work: Path, workers: int) -> None:
    shards = work / "refused"
    pcdata.build(work / "src", shards, val_fraction=0.1)
    calls: list[Callable[[], object]] = [
        lambda: pcdata.build(work / "src", work / "other", workers=workers),
        lambda: pcdata.add_view(shards, ["gzip"], workers=workers),
        lambda: pcdata.merge([shards, shards], work / "merged", workers=workers),
        lambda: pcdata.verify(shards, workers=workers),
    ]
    for call in calls:
        with pytest.raises(pcdata.PcdataError, match=rf"workers must be 0 … 100000, got {workers}"):
            call()
    assert pcdata.verify(shards, workers=2).ok, "and nothing was begun"


def test_a_script_without_a_main_guard_may_build_with_several_workers(work: Path) -> None:
    """As a notebook does, and ``python -``: workers must not run the script again."""
    options = "val_fraction=0, workers=2, shard_bytes=4000"
    script = f'import pcdata\nprint(len(pcdata.build("src", "guarded", ["gzip"], {options}).train))\n'
    done = subprocess.run([sys.executable, "-"], input=script, cwd=work, check=True, capture_output=True, text=True)
    assert done.stdout == "50\n"
    (work / "script.py").write_text(script.replace("guarded", "of-a-file"))
    done = subprocess.run([sys.executable, "script.py"], cwd=work, check=True, capture_output=True, text=True)
    assert done.stdout == "50\n"


def test_documents_are_sequences_of_units(work: Path) -> None:
    dataset = pcdata.build(work / "src", work / "sequence", ["gzip", "bpe:vocab_size=300"], val_fraction=0.1)
    train = dataset.train
    assert [one.doc_id for one in train] == [train[number].doc_id for number in range(len(train))]
    assert [one.doc_id for one in train[2:7:2]] == [train[number].doc_id for number in (2, 4, 6)]
    assert train[-1].doc_id == train[len(train) - 1].doc_id
    with pytest.raises(IndexError):
        train[len(train)]
    for document in train[:5]:
        assert document.text.encode() == bytes(document)
        for view in document.views:
            units = view.units
            assert b"".join(unit.raw for unit in units) == bytes(document)
            assert [symbol for unit in units for symbol in unit.symbols.tolist()] == view.symbols.tolist()
            assert len(units) > 1


def test_what_a_notebook_shows_is_escaped_and_says_what_stats_says(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.html").write_text("<script>alert(1)</script>" * 20)
    dataset = pcdata.build(tmp_path / "in", tmp_path / "<i>", ["gzip"], val_fraction=0)
    shown = dataset._repr_html_() + dataset.train[0].view("gzip")._repr_html_() + pcdata.stats(dataset)._repr_html_()
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt;" in shown
    view = pcdata.stats(dataset)["views"]["gzip"]
    assert f"{view['symbols']:,}" in dataset._repr_html_()
    assert "gzip" in repr(dataset)
    assert str(pcdata.verify(dataset)) == pcdata.verify(dataset).render()


def test_options_are_those_of_a_build() -> None:
    assert set(typing.get_type_hints(Options)) == {field.name for _, field, _ in options_in(BuildOptions)}
    of_trials = set(typing.get_type_hints(TrialOptions))
    assert of_trials == {field.name for _, field, _ in options_in(DatasetOptions)} - {"shard_bytes"}


@pytest.mark.parametrize("package", ["pcdata", "pctrain"])
def test_importing_loads_nothing_and_every_public_name_is_there_and_explained(package: str) -> None:
    code = f"import sys, {package}; print([m for m in ('numpy', 'pyarrow', 'torch', 'click') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    module = importlib.import_module(package)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018
