"""pctrain killed before each of its steps on the disk: the same command again leaves what an undisturbed one leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.made_run import SETTINGS, make_dataset

KILLED = """
import os, signal, sys
left = int(sys.argv.pop(1))
def killing(real):
    def call(*arguments, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    return call
for name in ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir"):
    setattr(os, name, killing(getattr(os, name)))
from pctrain.cli import main
main()
"""
NEVER = 10**6
SET = [word for setting in (*SETTINGS, "train.steps=3", "checkpoint.every=1") for word in ("--set", setting)]


def pctrain(steps: int, *words: object) -> int:
    """The exit code, of one that is killed before so many steps on the disk and one more."""
    command = [sys.executable, "-c", KILLED, str(steps), *map(str, words)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def lines(path: Path) -> list[dict[str, Any]]:
    """Without what depends on the clock."""
    parsed = [json.loads(line) for line in path.read_text().splitlines()]
    kept = ("kind", "step", "loss", "nats", "targets", "data", "raw_bits_per_byte", "gradient_norm", "lr")
    return [{key: line.get(key) for key in kept} for line in parsed if line["kind"] != "start"]


def content(folder: Path) -> dict[str, object]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    reading: dict[str, Callable[[Path], object]] = {
        "metrics.jsonl": lines,
        "config.json": lambda path: json.loads(path.read_text()).get("config"),
        ".lock": lambda _: None,
        "SHA256SUMS": lambda path: len(path.read_text().splitlines()),
        # In a checkpoint their order is that of a set.
        ".safetensors": lambda path: {key: tensor.tolist() for key, tensor in load_file(path).items()},
        "verified.json": lambda path: len(json.loads(path.read_text())["files"]),
    }
    return {
        name: reading.get(path.name, reading.get(path.suffix, Path.read_bytes))(path) for name, path in files.items()
    }


def check(words: list[object], folder: Path, pace: int) -> None:
    """``words`` end in the output's folder, of which each try gets its own."""
    assert pctrain(NEVER, *words, folder / "whole" / "out") == 0
    expected = content(folder / "whole")
    for steps in count(0, pace):
        killed = folder / str(steps)
        code = pctrain(steps, *words, killed / "out")
        if code == 0:
            break
        assert pctrain(NEVER, *words, killed / "out") == 0
        assert content(killed) == expected, steps
    assert steps > 4 * pace


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "shards").folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fit(data: Path, tmp_path: Path) -> None:
    check(["fit", data, "--quiet", *SET, "-o"], tmp_path, pace=6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_export(data: Path, tmp_path: Path) -> None:
    assert pctrain(NEVER, "fit", data, "--quiet", *SET, "-o", tmp_path / "run") == 0
    check(["export", tmp_path / "run", "-o"], tmp_path, pace=1)
