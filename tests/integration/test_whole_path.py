"""From a folder of code to generated text, through the two commands, as the README does it."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcdata.cli import main as pcdata
from pcdata.dataset import Dataset
from pctrain.cli import main as pctrain
from tests.building.corpora import write_code

TINY = (
    "model.width=32",
    "model.hidden=64",
    "model.layers=2",
    "data.seq_len=256",
    "data.rows=4",
    "train.steps=20",
    "eval.every=10",
    "optim.lr_warmup_steps=5",
)


def run(command: object, *arguments: object) -> str:
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole path")
    write_code(folder / "code")
    views = ("-c", "zstd:size=64", "-c", "gzip:size=64", "-c", "bpe:vocab_size=320")
    run(pcdata, "build", folder / "code", "-o", folder / "shards", *views, "--val-fraction", "0.2", "-q", "-j1")
    settings = [part for setting in TINY for part in ("--set", setting)]
    run(pctrain, "fit", folder / "shards", "-o", folder / "run", *settings, "--quiet")
    return folder


def test_the_run_learned_from_every_view_and_in_both_phases(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["kind"] == "train"]
    measured = [line["raw_bits_per_byte"] for line in lines if line["kind"] == "val"]
    assert measured[-1] < measured[0] < 8
    assert sum(line["data"]["pairs"] for line in trained) > 0
    assert all(sum(line["views"][view]["targets"] for line in trained) for view in ("raw", "zstd", "gzip", "bpe"))


def test_eval_counts_every_byte_of_val_and_gzip_is_gzip(folder: Path) -> None:
    result = json.loads(run(pctrain, "eval", folder / "run", "--json", "--quiet"))
    split = Dataset(folder / "shards").split("val")
    documents = [split.document(number).raw.tobytes() for number in range(split.n_documents)]
    assert str(sum(map(len, documents))) in json.dumps(result)
    deflated = 0
    for raw in documents:
        compressor = zlib.compressobj(9, wbits=31)
        deflated += len(compressor.compress(raw) + compressor.flush())
    expected = 8 * deflated / sum(map(len, documents))
    table = run(pctrain, "eval", folder / "run", "--quiet")
    assert f"{expected:.4f}" in table
    for name in ("model, raw bytes", "view zstd", "view gzip", "view bpe", "zstd -19"):
        assert name in table


def test_generate_goes_on_from_the_prompt(folder: Path) -> None:
    arguments = (folder / "run", "--prompt", "def é", "--max-bytes", 40, "--seed", 5)
    text = run(pctrain, "generate", *arguments)
    assert text.startswith("def é")
    assert text == run(pctrain, "generate", *arguments)
    assert len(text.encode()) > len("def é".encode())
