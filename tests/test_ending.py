"""However a command ends: a sentence, and 0, 1, 2, or 128 plus the number of a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import pcdata.cli
import pctrain.cli
from tests.building.corpora import write_code
from tests.paths import GOLDEN, ROOT

STATS = ("pcdata", "stats", str(GOLDEN))


def run(*arguments: str, path: Path | None = None, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own; modules are first looked for in ``path``."""
    module, *rest = arguments
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), str(ROOT)])}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run([sys.executable, "-m", module, *rest], env=environment, check=False, **how)


@pytest.mark.parametrize("arguments", [STATS, ("pctrain", "--help"), ("pcdata", "build", "--help")])
def test_a_full_disk_behind_standard_output_is_a_fault(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 1
    where = b"" if "--help" in arguments else b"standard output: "  # help is click's
    assert done.stderr.startswith(b"error: " + where + b"No space left on device; ")
    assert done.stderr.count(b"\n") == 1


def closed(*numbers: int) -> Callable[[], None]:
    return lambda: [os.close(number) for number in numbers] and None


def test_a_closed_standard_output_is_named() -> None:
    done = run(*STATS, preexec_fn=closed(1))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: standard output: Bad file descriptor")


@pytest.mark.parametrize("streams", [(2,), (0, 2), (0, 1, 2)], ids=str)
def test_closed_streams_are_no_files_of_a_dataset(streams: tuple[int, ...], tmp_path: Path) -> None:
    write_code(tmp_path / "code", files=8)
    arguments = ("pcdata", "build", str(tmp_path / "code"), "-o", str(tmp_path / "out"), "-j1", "--val-fraction", "0")
    done = run(*arguments, preexec_fn=closed(*streams))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert run("pcdata", "verify", str(tmp_path / "out"), "-j1", preexec_fn=closed(2)).returncode == 0
    assert run("pcdata", "stats", str(tmp_path), preexec_fn=closed(*streams)).returncode == 1


def test_no_file_gets_the_number_of_a_stream() -> None:
    program = "import os; from pcdata.terminal import prepare; prepare(); raise SystemExit(os.open('/', 0))"
    done = subprocess.run([sys.executable, "-c", program], preexec_fn=closed(0, 1, 2), check=False)
    assert done.returncode > 2


def test_who_reads_no_more_has_enough(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*STATS, stdout=writer)
    assert (done.returncode, done.stderr) == (1, b"")
    write_code(tmp_path / "code", files=8)
    arguments = ("pcdata", "build", str(tmp_path / "code"), "-o", str(tmp_path / "out"), "-j1", "--val-fraction", "0")
    assert run(*arguments, stderr=writer).returncode == 0
    os.close(writer)
    assert (tmp_path / "out" / "manifest.json").exists()


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **named: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (MemoryError(), 1, "error: not enough memory; "),
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(28, "No space left on device", "a\nb"), 1, "error: a↵b: No space left on device; "),
        (OSError(5, "Input/output error", 3), 1, "error: Input/output error; "),
        (BrokenPipeError(32, "Broken pipe", "a fifo"), 1, "error: a fifo: Broken pipe; "),
        (ImportError("libarrow.so.1: cannot allocate memory"), 1, "error: a library cannot be loaded"),
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("command", ["pcdata", "pctrain"])
def test_explained_are_a_sentence(
    command: str, error: BaseException, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = {"pcdata": pcdata.cli.main, "pctrain": pctrain.cli.main}[command]
    name = {"pcdata": "pcdata.dataset.manifest.load_manifest", "pctrain": "pctrain.inference.plot.plot"}[command]
    monkeypatch.setattr(name, raising(error))
    done = CliRunner().invoke(group, {"pcdata": ["stats", "x"], "pctrain": ["plot", "x"]}[command])
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


SIGNALLED = """
import os, signal
try:
    os.kill(os.getpid(), signal.{name})
except BaseException:
    pass
raise ImportError("which is none")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("click", STATS),
        ("pyarrow", STATS),
        ("click", ("pctrain", "plot", "x")),
        ("torch", ("pctrain", "eval", "x")),
        ("numpy", ("pctrain", "fit", "x")),
    ],
    ids=str,
)
def test_a_signal_while_modules_are_loaded(tmp_path: Path, module: str, arguments: tuple[str, ...], name: str) -> None:
    (tmp_path / f"{module}.py").write_text(SIGNALLED.format(name=name))
    done = run(*arguments, path=tmp_path)
    assert done.returncode == 128 + signal.Signals[name]
    assert (done.stdout, done.stderr) == (b"", b"stopped\n")


def test_a_signal_that_is_to_be_ignored_is(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text(SIGNALLED.format(name="SIGINT"))
    done = run(*STATS, path=tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN) and None)
    assert done.returncode == 1
    assert b"which is none" in done.stderr


def test_a_bug_keeps_its_traceback_and_goes_through_the_door(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text(
        "import warnings\nwarnings.warn('\\x1b[31m')\nraise RuntimeError('\\x1b[31m')\n"
    )
    done = run(*STATS, path=tmp_path)
    assert done.returncode == 1
    assert b"\x1b" not in done.stderr
    assert done.stderr.startswith("warning: ␛[31m\nTraceback".encode())
    assert done.stderr.endswith("RuntimeError: ␛[31m\n".encode())
