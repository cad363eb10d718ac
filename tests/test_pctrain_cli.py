"""The command line: three commands from shards to text, and one sentence for each mistake."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from pcdata.dataset import Dataset
from tests.command_lines import pctrain
from tests.made_run import SETTINGS, VIEW, make_dataset

SET = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    result = pctrain("fit", dataset.folder, "-o", folder, *SET)
    assert result.exit_code == 0, result.output
    return folder


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert result.stdout == ""
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith("error: ")
    assert "Traceback" not in result.output
    for word in words:
        assert word in sentence


def test_fit_says_what_it_trains_how_it_goes_and_what_comes_next(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "my run"
    result = pctrain("fit", dataset.folder, "-o", run, *SET)
    assert result.stdout == ""
    said = result.stderr.splitlines()
    begins = [
        "verifying the data: ",
        "model ",
        "device ",
        "steps ",
        "data ",
        "step 4/12: ",
        "step 8/12: ",
        "step 12/12: ",
        "done: ",
    ]
    assert len(said) == len(begins)
    assert all(line.startswith(begin) for line, begin in zip(said, begins, strict=True))
    start, *_, last = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert f"{start['parameters']:,} parameters" in said[1]
    assert f"832 ids: raw bytes, {VIEW} 512" in said[1]
    assert "12, of 256 symbols each: 4 rows of 64" in said[3]
    assert all("symbols/s" in line and "% waiting" in line for line in said[5:8])
    assert [" left" in line for line in said[5:8]] == [True, True, False]
    val = f"val {last['raw_bits_per_byte']:.3f} ± {last['raw_bits_per_byte_standard_error']:.3f} bits/byte"
    assert val in said[7]
    assert said[8] == f"done: {val} after 12 steps, in {run}; next: pctrain eval '{run}'"


def test_the_means_of_a_line_are_those_since_the_line_before_it(dataset: Dataset, tmp_path: Path) -> None:
    """Against the sums in the log, which has two lines for each measurement."""
    result = pctrain("fit", dataset.folder, "-o", tmp_path, *SET, "--set", "optim.lr=1e-2")
    said = [line for line in result.stderr.splitlines() if line.startswith("step ")]
    assert [line.split(":")[0] for line in said] == ["step 4/12", "step 8/12", "step 12/12"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["kind"] == "train"]
    view = dataset.manifest.view(VIEW)
    bytes_per_symbol = sum(one.raw_bytes for one in dataset.manifest.base.splits["train"]) / sum(
        one.symbols for one in view.splits["train"]
    )
    assert 2.5 < bytes_per_symbol <= 3
    for line, pair in zip(said, zip(trained[::2], trained[1::2], strict=True), strict=True):
        loss = sum(one["nats"] for one in pair) / sum(one["targets"] for one in pair)
        raw, seen = (
            sum(one["views"][name]["nats"] for one in pair) / sum(one["views"][name]["targets"] for one in pair)
            for name in ("raw", VIEW)
        )
        bits = f"raw {raw / math.log(2):.2f}, {VIEW} {seen / math.log(2) / bytes_per_symbol:.2f} bits/byte"
        assert f", loss {loss:.3f} ({bits}), " in line


def test_quiet_commands_say_nothing(dataset: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit = ("fit", dataset.folder, "-o", run, *SET)
    halfway = ("--set", "train.steps=4")
    loud = [pctrain(*fit, *halfway), pctrain("plot", run, "-o", tmp_path / "loud.svg")]
    loud += [pctrain("export", run, "-o", tmp_path / "loud")]
    assert all(done.exit_code == 0 and done.stderr for done in loud)
    quiet = [pctrain(*fit, *more, "-q") for more in (("--restart", *halfway), halfway, ("--set", "train.steps=6"))]
    quiet += [pctrain("plot", run, "-o", tmp_path / "quiet.svg", "-q"), pctrain("generate", run, "-q")]
    quiet += [pctrain("export", run, "-o", tmp_path / "quiet", "--quiet"), pctrain("eval", run, "-q")]
    assert [(done.exit_code, done.stderr) for done in quiet] == [(0, "")] * len(quiet)
    assert [bool(done.stdout) for done in quiet] == [False, False, False, False, True, False, True]


def test_a_second_fit_needs_no_settings_and_is_done(dataset: Dataset, run: Path) -> None:
    result = pctrain("fit", dataset.folder, "-o", run)
    assert result.exit_code == 0
    assert "finished (12 steps)" in result.stderr


def test_modes_and_views_are_settings(dataset: Dataset, tmp_path: Path) -> None:
    steps = ["--set", "train.steps=2"]
    result = pctrain("fit", dataset.folder, "-o", tmp_path, *SET, *steps, "--mode", "raw", "--view", f"{VIEW}=2")
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "config.json").read_text())["config"]
    assert config["data"]["views"] == {VIEW: 2.0}
    assert (config["mixture"]["mode"], config["mixture"]["warmup_fraction"]) == ("raw", 0.0)


def test_datasets_have_weights_and_documents_are_chosen(dataset: Dataset, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", 9)
    name = dataset.folder.name
    both = (
        dataset.folder,
        other.folder,
        "-o",
        tmp_path / "run",
        *SET,
        "--set",
        "train.steps=2",
        "--weight",
        "other=0.5",
    )
    result = pctrain("fit", *both, "--where", "path=train-*1", "--where", "path=val-*")
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["data"]["weights"] == {"other": 0.5}
    assert config["data"]["where"] == {"path": ["train-*1", "val-*"]}
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    shown = next(line["data"] for line in lines if line["kind"] == "train")
    assert set(shown["documents_by_dataset"]) == {name, "other"}
    assert shown["passed_over"] > 0
    refused(pctrain("fit", *both, "--lang", "Rust", "--restart"), "no document of the train split of", "lang like Rust")
    refused(pctrain("fit", *both, "--where", "*.py"), "--where *.py: expected column=glob")
    refused(pctrain("fit", *both, "--where", "size=3"), "data.where.size", "known: path, lang, source")
    refused(pctrain("fit", *both, "--weight", "third=2"), "'third'", "none of the datasets")
    refused(pctrain("fit", dataset.folder, *both), "both named", name)


def test_eval_prints_a_table_or_json(run: Path) -> None:
    table, values = pctrain("eval", run), json.loads(pctrain("eval", run, "--json").stdout)
    assert table.exit_code == 0
    assert f"{values['raw']['bits_per_byte']:.4f}" in table.stdout
    assert set(values["views"]) == {VIEW}
    assert (values["step"], values["window"], values["stride"]) == (12, 64, 64)
    overlapping = json.loads(pctrain("eval", run, "--json", "--stride", "16", "--batch-rows", "3").stdout)
    assert overlapping["raw"]["symbols"] == values["raw"]["symbols"] == values["raw_bytes"]


def test_eval_of_the_slice_is_the_training_runs_own_figure(run: Path, dataset: Dataset) -> None:
    """The slice of this run holds a part of val only, so the figures differ; on all of val they are the same."""
    longer = run.parent / "all"
    arguments = [*SET, "--set", "eval.bytes=1000000", "--set", "train.steps=4"]
    assert pctrain("fit", dataset.folder, "-o", longer, *arguments).exit_code == 0
    measured = [json.loads(line) for line in (longer / "metrics.jsonl").read_text().splitlines()][-1]
    values = json.loads(pctrain("eval", longer, "--json").stdout)
    assert measured["kind"] == "val"
    assert measured["raw_bytes"] == values["raw_bytes"]
    assert measured["raw_bits_per_byte"] == pytest.approx(values["raw"]["bits_per_byte"], rel=1e-6)


@pytest.fixture(scope="module")
def chosen_run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on some documents, that measured all of val that it could."""
    folder = tmp_path_factory.mktemp("chosen") / "run"
    where = ["--where", "path=train-1*", "--where", "path=val-[4-6]"]
    settings = ["--set", "eval.bytes=1000000", "--set", "train.steps=4"]
    assert pctrain("fit", dataset.folder, "-o", folder, *SET, *settings, *where).exit_code == 0
    return folder


def test_eval_measures_the_documents_that_the_run_read(chosen_run: Path) -> None:
    measured = [json.loads(line) for line in (chosen_run / "metrics.jsonl").read_text().splitlines()][-1]
    values = json.loads(pctrain("eval", chosen_run, "--json").stdout)
    assert measured["kind"] == "val"
    assert measured["raw_bytes"] == values["raw_bytes"]
    assert measured["raw_bits_per_byte"] == pytest.approx(values["raw"]["bits_per_byte"], rel=1e-6)
    assert (values["documents"], values["of_documents"]) == (3, 7)
    table = pctrain("eval", chosen_run).stdout
    assert table.startswith(
        f"val: 3 of 7 documents, path like train-1* or val-[4-6], {values['raw_bytes']:,} raw bytes"
    )


def test_eval_measures_other_documents_on_request(chosen_run: Path, dataset: Dataset) -> None:
    """Beside n-grams of those that the run read, whichever are measured."""
    own, every, one = (
        json.loads(pctrain("eval", chosen_run, "--json", *words).stdout)
        for words in ((), ("--where", "path=*"), ("--lang", "*", "--where", "path=val-0"))
    )
    assert (every["documents"], every["raw_bytes"]) == (7, dataset.split("val").raw_bytes)
    assert (one["documents"], one["where"]) == (1, {"lang": ["*"], "path": ["val-0"]})
    assert own["where"] == own["ngrams_counted_on"]["where"] == {"path": ["train-1*", "val-[4-6]"]}
    assert own["ngrams_counted_on"] == every["ngrams_counted_on"] == one["ngrams_counted_on"]
    refused(pctrain("eval", chosen_run, "--lang", "Rust"), "no document of the val split of", "lang like Rust")
    refused(pctrain("eval", chosen_run, "--where", "*.py"), "--where *.py: expected column=glob")
    refused(pctrain("eval", chosen_run, "--where", "size=3"), "data.where.size", "known: path, lang, source")


def test_eval_of_the_train_split_has_no_ngrams(run: Path) -> None:
    assert json.loads(pctrain("eval", run, "--json").stdout)["ngrams"] != {}
    assert json.loads(pctrain("eval", run, "--json", "--split", "train").stdout)["ngrams"] == {}


def test_eval_says_what_it_does_where_there_is_no_terminal(run: Path, dataset: Dataset) -> None:
    result = pctrain("eval", run)
    n_bytes = f"{dataset.split('val').raw_bytes:,} bytes"
    assert result.stderr.splitlines() == [
        f"model, raw bytes: {n_bytes}",
        f"model, view {VIEW}: {n_bytes}",
        f"gzip -9 and zstd -19: {n_bytes}",
        f"n-grams, counting: {dataset.split('train').raw_bytes:,} bytes",
        f"n-grams: {n_bytes}",
    ]
    assert pctrain("eval", run, "--quiet").stderr == ""


def test_eval_finds_a_dataset_that_was_moved(dataset: Dataset, tmp_path: Path) -> None:
    old, new, run = tmp_path / "old", tmp_path / "new", tmp_path / "run"
    shutil.copytree(dataset.folder, old)
    assert pctrain("fit", old, "-o", run, *SET, "--set", "train.steps=1").exit_code == 0
    old.rename(new)
    refused(pctrain("eval", run), "no longer at", "--data")
    assert pctrain("eval", run, "--data", new).exit_code == 0
    refused(pctrain("eval", run, "--data", make_dataset(tmp_path / "other", 9).folder), "another dataset")


def test_generate_prints_the_prompt_and_what_follows(run: Path) -> None:
    result = pctrain("generate", run, "--prompt", "the ü", "--max-bytes", "40", "--seed", "5")
    assert result.exit_code == 0
    assert result.stdout.startswith("the ü")
    assert result.stdout == pctrain("generate", run, "--prompt", "the ü", "--max-bytes", "40", "--seed", "5").stdout
    first = result.stdout.removeprefix("the ü")[:1]
    stopped = pctrain("generate", run, "--prompt", "the ü", "--max-bytes", "40", "--seed", "5", "--stop", first)
    assert stopped.stdout == "the ü\n" or first == "\ufffd"


def test_mistakes_get_one_sentence(dataset: Dataset, run: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "new")
    refused(pctrain("fit", tmp_path / "nowhere", *out), "nowhere does not exist")
    (tmp_path / "empty").mkdir()
    refused(pctrain("fit", tmp_path / "empty", *out), "is not a dataset")
    refused(pctrain("fit", dataset.folder, *out, "--preset", "huge"), "unknown preset 'huge'", "tiny")
    refused(pctrain("fit", dataset.folder, *out, "--set", "train.speed=3"), "unknown setting train.speed")
    refused(pctrain("fit", dataset.folder, *out, "--config", tmp_path / "none.toml"), "cannot be read")
    refused(pctrain("fit", dataset.folder, *out, *SET, "--view", "gzip"), "'gzip'", VIEW)
    refused(pctrain("fit", dataset.folder, *out, *SET, "--view", f"{VIEW}=much"), "must be a number, got 'much'")
    refused(pctrain("fit", dataset.folder, *out, *SET, "--view", VIEW, "--view", VIEW), "is given twice")
    refused(pctrain("fit", dataset.folder, *out, *SET, "--set", 'runtime.device="cuda:9"'), "cuda:9")
    refused(
        pctrain("fit", dataset.folder, *out, *SET, "--set", "data.seq_len=10000000"),
        "GB for activations), cpu has",
        "GB free; lower runtime.micro_rows (now 4) or data.seq_len (now 10000000)",
    )
    refused(pctrain("fit", dataset.folder, "-o", run, "--set", "model.layers=5"), "model.layers = 2, now it is 5")
    refused(pctrain("eval", tmp_path), "is not a run")
    refused(pctrain("eval", run, "--split", "test"), "no test split")
    refused(pctrain("eval", run, "--stride", "65"), "stride must be 1 … 64")
    refused(pctrain("eval", run, "--checkpoint", "3"), "no checkpoint '3'")
    refused(pctrain("generate", tmp_path / "nowhere"), "is not a run")
    refused(pctrain("plot", run, "-o", tmp_path / "nowhere" / "x.png"), "x.png: there is no folder")
    refused(pctrain("export", run, "-o", run / "config.json" / "hf"), "hf cannot be written: Not a directory")
    refused(pctrain("fit", dataset.folder, *out, "--set", "optim.beta1=1.5"), "optim.beta1", "1.5")
    refused(pctrain("generate", run, "--temperature", "-1"), "--temperature must be at least 0")


def test_a_run_of_another_version_gets_one_sentence(run: Path, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "version": 2}))
    refused(pctrain("eval", tmp_path), "config.json has version 2", "use the pctrain that wrote it")


def test_a_truncated_shard_gets_one_sentence(dataset: Dataset, tmp_path: Path) -> None:
    shutil.copytree(dataset.folder, tmp_path / "cut")
    shard = tmp_path / "cut" / "base" / "train-00000.arrow"
    os.truncate(shard, shard.stat().st_size - 8)
    refused(pctrain("fit", tmp_path / "cut", "-o", tmp_path / "run", *SET), "train-00000.arrow", "bytes")


def test_wrong_usage_exits_with_2() -> None:
    assert pctrain("fit").exit_code == pctrain("fit", "x", "--mode", "sideways").exit_code == 2


HELP = """
import sys
from pctrain.cli import main
try:
    main(sys.argv[1:])
finally:
    assert not {"torch", "pyarrow", "numpy", "tqdm"} & set(sys.modules), "heavy imports"
"""


@pytest.mark.parametrize("command", [[], ["fit"], ["eval"], ["generate"]])
def test_help_answers_at_once(command: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [sys.executable, "-c", HELP, *command, "--help"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stdout.startswith("Usage: ")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.25


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pctrain.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["fit", "eval", "generate"])
def test_a_missing_torch_gets_one_sentence(command: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, command, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == 'error: pctrain needs torch; pip install "proxy-compression[train]"\n'


@pytest.mark.parametrize(
    ("given", "spins"), [({}, 0), ({"GOMP_SPINCOUNT": "77"}, 77), ({"OMP_WAIT_POLICY": "ACTIVE"}, 30_000_000_000)]
)
def test_threads_wait_without_spinning_unless_the_user_says_how(
    given: dict[str, str], spins: int, tmp_path: Path
) -> None:
    """OpenMP itself tells how it was told to wait when torch was loaded."""
    unsaid = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    result = subprocess.run(
        [sys.executable, "-m", "pctrain", "eval", str(tmp_path)],
        env={**unsaid, **given, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "is not a run" in result.stderr
    found = re.search(r"GOMP_SPINCOUNT = '(\d+)'", result.stderr)
    if found is None:
        pytest.skip("this torch was not built with GNU's OpenMP")
    assert int(found[1]) == spins


FORBIDDEN = """
import sys
sys.modules |= dict.fromkeys(["zstandard", "tokenizers", "gigatoken"])  # as if they were not installed
import pctrain.inference.evaluate, pctrain.inference.generate, pctrain.training.loop
ours = {name for name in sys.modules if name.startswith("pcdata.")}
light = {"pcdata.errors", "pcdata.lazy", "pcdata.machine", "pcdata.terminal", "pcdata.text", "pcdata.version"}
assert all(name.startswith("pcdata.dataset") or name in light for name in ours), ours
"""


def test_the_trainer_imports_only_the_reader() -> None:
    subprocess.run([sys.executable, "-c", FORBIDDEN], check=True)


def test_a_command_leaves_the_environment_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert pctrain("eval", tmp_path).exit_code == 1
    assert dict(os.environ) == before


def test_a_refused_fit_leaves_no_folder(tmp_path: Path) -> None:
    kept = tmp_path / "mine"
    kept.mkdir()
    for run in (tmp_path / "run", kept):
        assert pctrain("fit", tmp_path / "nosuch", "-o", run).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not [*kept.iterdir()]
