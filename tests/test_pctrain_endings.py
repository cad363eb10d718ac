"""However a command ends that is no bug: a sentence, and 1 or 130; whatever its streams and its locale are."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pctrain.cli import main
from pctrain.group import Group
from pctrain.torch_errors import of_memory, of_peer
from tests.made_run import SETTINGS, make_dataset

SET = [word for setting in (*SETTINGS, "train.steps=2") for word in ("--set", setting)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "data")
    done = CliRunner().invoke(main, ["fit", str(folder / "data"), "-o", str(folder / "run"), *SET])
    assert done.exit_code == 0
    return folder / "run"


def pctrain(*words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pctrain", *map(str, words)]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(command, text=True, check=False, **more)


INTERRUPTED = """
import signal, sys
_, wanted, *words = sys.argv
sys.argv = ["pctrain", *words]
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from pctrain.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["pctrain.cli", "click", "pctrain.training.loop", "torch", "pcdata.dataset"])
def test_ctrl_c_while_modules_are_loaded(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module, "fit", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def ending(error: BaseException) -> tuple[int, str]:
    @click.group(cls=Group)
    def commands() -> None:
        pass

    @commands.command()
    def command() -> None:
        raise error

    done = CliRunner().invoke(commands, ["command"], catch_exceptions=False)
    return done.exit_code, done.stderr


def _raised(make: Any) -> BaseException:
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        make()
    return raised.value


LACKING: dict[str, Any] = {
    "torch": lambda: torch.empty(1 << 60, dtype=torch.uint8),
    "numpy": lambda: np.empty(1 << 52, np.uint8),
    "python": lambda: b"x" * (1 << 60),
}


@pytest.mark.parametrize("who", LACKING)
def test_memory_that_there_is_not(who: str) -> None:
    code, said = ending(_raised(LACKING[who]))
    assert code == 1
    assert said.startswith("error: not enough memory")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/file"), 1, ["a/file", "No space left on device"]),
        (PermissionError(errno.EACCES, "Permission denied", b"a/f\xff"), 1, ["a/f", "Permission denied"]),
        (RuntimeError("[…/gloo/transport/tcp/pair.cc:537] Connection closed by peer"), 1, ["another process"]),
        (ModuleNotFoundError("torch", name="torch"), 1, ["pip install"]),
        (KeyboardInterrupt(), 130, ["stopped"]),
    ],
)
def test_what_is_no_bug_is_a_sentence(error: BaseException, code: int, words: list[str]) -> None:
    found, said = ending(error)
    assert found == code
    assert all(word in said for word in words)
    assert said.count("\n") == 1


@pytest.mark.parametrize("bug", [ValueError("x"), RuntimeError("shapes"), ModuleNotFoundError("y", name="y")])
def test_a_bug_keeps_its_traceback(bug: Exception) -> None:
    with pytest.raises(type(bug)):
        ending(bug)
    assert of_memory(bug) is None
    assert of_peer(bug) is None


def test_a_pipe_that_nobody_reads(run: Path) -> None:
    for words in (["--help"], ["fit", "--help"], ["generate", run, "--max-bytes", "9"]):
        read, write = os.pipe()
        os.close(read)
        done = pctrain(*words, stdout=write)
        os.close(write)
        assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_streams_that_are_closed(run: Path, tmp_path: Path, closed: tuple[int, ...]) -> None:
    """And no file of a run takes the place of one, to be written to as if it were it."""
    shell = " ".join(["exec", '"$@"', *(f"{number}>&-" for number in closed)])
    words = ["fit", run.parent / "data", "-o", tmp_path / "run", *SET, "--set", "data.rows=2"]
    command = ["sh", "-c", shell, "sh", sys.executable, "-m", "pctrain", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert all(line.startswith("{") for line in lines)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_standard_output_on_a_full_disk(run: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = pctrain("generate", run, "--max-bytes", "9", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: No space left on device; fix that and run the same command again\n"


SEVERAL = """
import sys
from pctrain.cli import main
for words in sys.argv[1].split("|"):
    try:
        main(words.split(";"))
    except SystemExit as end:
        assert not end.code, words
"""


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=["C", "latin-1"],
)
def test_a_locale_without_letters(run: Path, tmp_path: Path, locale: dict[str, str]) -> None:
    commands: list[list[object]] = [
        ["eval", run, "--quiet"],
        ["generate", run, "--max-bytes", "40", "--prompt", "né 猫"],
        ["fit", run.parent / "data", "-o", tmp_path / "é", *SET],
        ["fit", "--help"],
    ]
    words = "|".join(";".join(map(str, one)) for one in commands)
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, words], env={**os.environ, **locale}, capture_output=True, check=False
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert b"Bits" in done.stdout or b"bits" in done.stdout
