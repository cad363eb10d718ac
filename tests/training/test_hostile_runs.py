"""What a run folder asks for is held against what it has: a sentence and exit code 1, and no memory for the rest.

Its sums are right: they keep out damage, and no stranger.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from pctrain.cli import main
from pctrain.training import checkpoint
from tests.made_run import SETTINGS, make_dataset

STEP = "checkpoints/step-00000002"
WEIGHTS = f"{STEP}/model/shard-00001-model-00001-of-00001.safetensors"
AVERAGES = f"{STEP}/optimizer/shard-00001-model-00001-of-00001.safetensors"
LINES = "metrics.jsonl"
DEEP = "[" * 100_000
COMMANDS = {
    "fit": ("fit", "DATA", "-o", "RUN", "--set", "train.steps=4", "--quiet"),
    "eval": ("eval", "RUN", "--data", "DATA", "--quiet"),
    "generate": ("generate", "RUN", "--max-bytes", "3"),
    "export": ("export", "RUN", "-o", "OUT"),
    "plot": ("plot", "RUN", "-o", "OUT.png"),
}
OF_STATE = ("fit", "eval", "generate", "export")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "data")
    words = [w for one in (*SETTINGS, "train.steps=2", "checkpoint.every=2") for w in ("--set", one)]
    done = CliRunner().invoke(main, ["fit", str(folder / "data"), "-o", str(folder / "run"), *words])
    assert done.exit_code == 0, done.output
    return folder


def seal(run: Path) -> None:
    """As ``sha256sum`` would."""
    step = run / STEP
    files = [path for path in step.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(step).as_posix()}\n" for path in files]
    (step / "SHA256SUMS").write_text("".join(sums))


def put(values: Any, keys: str, value: Any) -> None:
    *before, last = keys.split(".")
    for key in before:
        values = values[key]
    values[last] = value


def state(keys: str, value: Any) -> Callable[[Path], None]:
    """Both files say so, since which of them is asked depends on the command."""

    def change(run: Path) -> None:
        for name in (f"{STEP}/state.json", "config.json"):
            values = json.loads((run / name).read_text())
            if keys.startswith("config.") or name.startswith(STEP):
                put(values, keys, value)
            (run / name).write_text(json.dumps(values))

    return change


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_text(content) and None  # type: ignore[func-returns-value]


def line(kind: str, keys: str, value: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        lines = [json.loads(one) for one in (run / LINES).read_text().splitlines()]
        for one in lines:
            if one["kind"] == kind:
                put(one, keys, value)
        (run / LINES).write_text("".join(json.dumps(one) + "\n" for one in lines))

    return change


def header(name: str, change_it: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Of a safetensors file."""

    def change(run: Path) -> None:
        data = (run / name).read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        values = json.loads(data[8 : 8 + size])
        change_it(values)
        new = json.dumps(values).encode()
        (run / name).write_bytes(struct.pack("<Q", len(new)) + new + data[8 + size :])

    return change


def tensors(name: str, change_it: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        values = load_file(run / name)
        change_it(values)
        save_file(values, run / name)

    return change


def fifo(run: Path) -> None:
    os.mkfifo(run / STEP / "model" / "zz.safetensors")


def sharded(offsets: Any) -> Callable[[Path], None]:
    """What ``torch.distributed.checkpoint`` says of shards, saying something else."""

    def change(values: dict[str, Any]) -> None:
        custom = json.loads(values["__metadata__"]["DCP_SHARDING_INFO"])
        custom["embed.weight"]["saved_offsets"] = offsets
        values["__metadata__"]["DCP_SHARDING_INFO"] = json.dumps(custom)

    return header(WEIGHTS, change)


HUGE = 10**9
TRAPS: dict[str, tuple[tuple[str, ...], Callable[[Path], None]]] = {
    "deep config": (("fit", "eval", "generate", "export", "plot"), text("config.json", DEEP)),
    "deep state": (OF_STATE, text(f"{STEP}/state.json", DEEP)),
    "deep lines": (("plot",), text(LINES, DEEP + "\n")),
    "no lines": (("plot",), text(LINES, "3\n[]\n")),
    "bytes": (("plot",), lambda run: (run / LINES).write_bytes(b"\xff\xfe\n") and None),  # type: ignore[func-returns-value]
    "layers": (OF_STATE, state("config.model.layers", HUGE)),
    "some layers": (("eval", "generate", "export"), state("config.model.layers", 4000)),
    "heads": (OF_STATE, state("config.model.predict_heads", 4000)),
    "width": (OF_STATE, state("config.model.width", 10**12)),
    "wide": (("eval", "generate", "export"), state("config.model.width", 1 << 20)),
    "hidden": (("eval", "generate", "export"), state("config.model.hidden", 1 << 20)),
    "long": (OF_STATE, state("config.data.seq_len", 10**12)),
    "batches ahead": (OF_STATE, state("config.runtime.prefetch", HUGE)),
    "not finite": (OF_STATE, state("config.optim.lr", float("nan"))),
    "another type": (OF_STATE, state("config.model.width", "32")),
    "many bits": (OF_STATE, state("config.model.width", 10**30)),
    "no model": (OF_STATE, state("config.model", [])),
    "ids": (OF_STATE, state("vocabulary.views.triples.n_symbols", 10**15)),
    "some ids": (OF_STATE, state("vocabulary.views.triples.n_symbols", 1 << 31)),
    "slot": (OF_STATE, state("vocabulary.views.triples.slot", 10**6)),
    "ids of text": (OF_STATE, state("vocabulary.views.triples.first_id", "0")),
    "a view elsewhere": (OF_STATE, state("vocabulary.views", {"../x": {"slot": 0, "first_id": 320, "n_symbols": 2}})),
    "no datasets": (OF_STATE, state("datasets", {})),
    "bits": (OF_STATE, state("val_bits_per_byte", "few")),
    "cursor": (OF_STATE, state("cursor.place", {"draws": [10**18]})),
    "shapes": (OF_STATE, tensors(WEIGHTS, lambda them: them.update({"norm.weight": torch.zeros(31)}))),
    "fewer": (OF_STATE, tensors(WEIGHTS, lambda them: them.pop("norm.weight"))),
    "more": (OF_STATE, tensors(WEIGHTS, lambda them: them.update({"x": torch.zeros(3)}))),
    "averages": (("fit",), tensors(AVERAGES, lambda them: them.pop("norm.weight.exp_avg"))),
    "a header that lies": (OF_STATE, header(WEIGHTS, lambda it: it["norm.weight"].update(shape=[1 << 40]))),
    "a place that lies": (OF_STATE, header(WEIGHTS, lambda it: it["norm.weight"].update(data_offsets=[0, 1 << 50]))),
    "a type that lies": (OF_STATE, header(WEIGHTS, lambda it: it["norm.weight"].update(dtype="F128"))),
    "a long header": (OF_STATE, lambda run: (run / WEIGHTS).write_bytes(b"\xff" * 7 + b"\0" * 100) and None),  # type: ignore[func-returns-value]
    "shards": (OF_STATE, sharded([1 << 50, 0])),
    "shards before": (OF_STATE, sharded([-5, 0])),
    "shards of text": (OF_STATE, sharded("here")),
    "fifo": (OF_STATE, fifo),
    "drawn": (("plot",), line("val", "raw_bits_per_byte", float("inf"))),
    "drawn text": (("plot",), line("val", "raw_bits_per_byte", "few")),
    "steps": (("plot",), line("train", "steps", 10**18)),
    "symbols": (("plot",), line("train", "data", [])),
    "settings": (("plot",), line("start", "config", {"model": {"layers": HUGE}})),
    "begun later": (("plot",), line("start", "step", 100)),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("trap", TRAPS)
def test_what_a_run_asks_for_is_held_against_what_it_has(made: Path, tmp_path: Path, trap: str) -> None:
    commands, change = TRAPS[trap]
    run = shutil.copytree(made / "run", tmp_path / "run")
    change(run)
    seal(run)
    places = {"DATA": made / "data", "RUN": run, "OUT": tmp_path / "out", "OUT.png": tmp_path / "out.png"}
    before = (run / LINES).read_bytes()
    for command in commands:
        words = [str(places.get(word, word)) for word in COMMANDS[command]]
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 1, (command, done.output)
        (sentence,) = done.stderr.splitlines()
        assert sentence.startswith("error: "), command
        assert len(sentence) < 1000, command
        assert {path.name for path in tmp_path.iterdir()} == {"run"}
        assert (run / LINES).read_bytes() == before, "nothing was learnt"


def test_a_run_that_is_sound_is_taken(made: Path, tmp_path: Path) -> None:
    """Else the others would show nothing."""
    run = shutil.copytree(made / "run", tmp_path / "run")
    state("config.train.seed", 0)(run)
    tensors(WEIGHTS, lambda them: them)
    seal(run)
    places = {"DATA": made / "data", "RUN": run, "OUT": tmp_path / "out", "OUT.png": tmp_path / "out.png"}
    for command in ("eval", "generate", "export", "plot", "fit"):
        words = [str(places.get(word, word)) for word in COMMANDS[command]]
        assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize("name", ["step-²²²²²²²²", "step-٣٣٣٣٣٣٣٣", "step-1", "step-", "step-0000000a"])
def test_only_our_own_folders_are_checkpoints(tmp_path: Path, name: str) -> None:
    (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert checkpoint.checkpoints(tmp_path) == []


@pytest.mark.parametrize("which", ["²", "9" * 5000, "-1", "../x", ""])
def test_a_step_that_is_none_is_said(made: Path, which: str) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="it has last, best and those of steps 2"):
        checkpoint.choose(made / "run", which)


def test_a_step_may_have_zeros_before_it(made: Path) -> None:
    assert checkpoint.choose(made / "run", "2") == checkpoint.choose(made / "run", "00000002")
