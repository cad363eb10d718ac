"""A page of documentation as a script: what a person would run who types everything that is in it, from top to bottom.

Blocks marked ``sh`` run as they are; a block marked ``python`` runs by itself, as if pasted into a fresh interpreter.
Everything else on a page (output, ``toml``, commands that need a cluster, marked ``text``) is only read.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.warm import CLIENT
from tests.paths import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sh": "{}", "python": "python - <<'END-OF-BLOCK'\n{}END-OF-BLOCK\n"}
COMMANDS = {
    "pcdata": "pcdata.cli",
    "pctrain": "pctrain",
    "pip": "pip",
    "pytest": "pytest",
    "torchrun": "torch.distributed.run",
}


WARM = ("pctrain",)
QUIET = {"PYTHONWARNINGS": "ignore"}  # of other people's packages


def script_of(page: Path) -> str:
    """All blocks of a page that are run, in order."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return "set -euo pipefail\n" + "".join(RUN[kind].format(text) for kind, text in blocks if kind in RUN)


@contextmanager
def warm(folder: Path) -> Iterator[Path]:
    """Where ``warm.py`` serves."""
    command = [sys.executable, "-m", "tests.docs.warm", str(folder / "socket")]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **QUIET}, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield folder / "socket"
        server.kill()


def make_overlay(folder: Path, server: Path | None) -> None:
    """A virtual environment that has all of this one's: what a page installs goes there, and is gone with it.

    With a server, the commands ``WARM`` are run by that: they do not see what a page installs.
    """
    venv.create(folder, symlinks=True)
    (below,) = folder.glob("lib/python*/site-packages")
    (below / "above.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for name, module in COMMANDS.items():
        command = folder / "bin" / name
        run = f"-m {module}" if server is None or name not in WARM else f'-ISc "$CLIENT" "{server}" {module}'
        command.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" {run} "$@"\n')
        command.chmod(0o755)


def run_page(page: Path, folder: Path, server: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a page in an empty folder, without a network."""
    make_overlay(folder / ".venv", server)
    environment = {
        **os.environ,
        "PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "CHECKOUT": str(ROOT),
        "PIP_NO_INDEX": "1",
        "HF_HOME": str(folder / ".cache"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "CLIENT": CLIENT,
        **QUIET,
    }
    return subprocess.run(
        ["bash", "-c", script_of(page)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
