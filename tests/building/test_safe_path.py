"""No command runs code that lies in the working folder, which may be somebody else's dataset or corpus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcdata.building.scan import TASK_BYTES
from pcdata.processes.safe_path import safe_path
from tests.building.corpora import write_code
from tests.paths import ROOT

PLANTED = (
    *("socket", "pickle", "selectors", "tempfile", "signal", "struct", "json", "random", "secrets", "runpy"),
    *("numpy", "pyarrow", "click", "zstandard", "tqdm", "ray", "pcdata", "sitecustomize"),
)
"""What a child imports before or after it knows its parent's module path."""

SHAPE = ("--val-fraction", "0", "--shard-bytes", "9000", "--quiet")

COMMANDS = {
    "build": ["build", ".", "-o", "../new", "--val-fraction", "0", "-j2"],
    "fit": ["fit", "zstd", ".", "-o", "../artifact", "--val-fraction", "0", "-j2"],
    "probe": ["probe", ".", "-c", "zstd", "--document-bytes", "20:64000", "-j2"],
    "verify": ["verify", "."],
    "merge": ["merge", ".", "../other", "-o", "../both", "-j2"],
    "add-view": ["add-view", ".", "-c", "gzip", "-j2"],
}
"""All that start children; the corpus is two tasks' worth, and so is each dataset."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and another, with files of well-known names in the first, and one that fills a scan task."""
    home = tmp_path_factory.mktemp("home")
    for name in ("dataset", "other"):
        write_code(home / f"code-{name}", files=12)
        pcdata(home, ".", "build", f"code-{name}", "-o", name, "-c", "zstd:dictionary=0", *SHAPE)
    with (home / "dataset" / "a.bin").open("wb") as file:
        file.truncate(TASK_BYTES)
    for name in PLANTED:
        (home / "dataset" / f"{name}.py").write_text(
            f"open({str(home / 'ran')!r}, 'a').write('{name} ')\nraise SystemExit"
        )
    return home


def pcdata(home: Path, where: str, *words: str) -> subprocess.CompletedProcess[str]:
    """From a script, as the installed command is one: the working folder is not on its module path."""
    script = home / "bin" / "pcdata"
    script.parent.mkdir(exist_ok=True)
    script.write_text("if __name__ == '__main__':\n    from pcdata.cli import main\n    main()\n")
    return run(home / where, str(script), *words)


def run(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_code_in_the_working_folder_is_not_run(folders: Path, command: str) -> None:
    (folders / "ran").unlink(missing_ok=True)
    done = pcdata(folders, "dataset", *COMMANDS[command], "--quiet")
    assert not (folders / "ran").exists(), (folders / "ran").read_text()
    assert done.returncode == (1 if command == "verify" else 0), done.stderr
    if command == "verify":  # the files are not listed, and nothing else is wrong
        found = [line for line in done.stdout.splitlines() if line.startswith("  ")]
        assert len(found) == len(PLANTED) + 1
        assert all("the manifest does not list it" in line for line in found)


@pytest.mark.ray
def test_nor_by_rays_workers(folders: Path) -> None:
    pytest.importorskip("ray")
    words = ["--val-fraction", "0", "--engine", "ray", "--quiet", "-j1"]
    done = pcdata(folders, "dataset", "build", ".", "-o", "../by-ray", *words)
    assert not (folders / "ran").exists(), (folders / "ran").read_text()
    assert done.returncode == 0, done.stderr


def test_the_planted_files_would_run(folders: Path) -> None:
    """The test can fail: a process that is started the usual way runs them."""
    run(folders / "dataset", "-c", "import socket")
    assert (folders / "ran").read_text().split() != []
    (folders / "ran").unlink()


def test_the_caller_keeps_path_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/somewhere"])
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with safe_path():
        assert sys.path == ["/somewhere", str(ROOT)]
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert sys.path == ["", "/somewhere"]
    assert "PYTHONSAFEPATH" not in os.environ
