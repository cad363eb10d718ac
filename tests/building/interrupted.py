"""Builds in a process of their own, which are killed, stopped, or find the disk full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VIEWS = ("zstd", "bpe:vocab_size=300")


def command(code: Path, output: Path, workers: int = 1, compressors: Sequence[str] = VIEWS) -> list[str]:
    views = [part for view in compressors for part in ("--compressor", view)]
    shape = ["--val-fraction", "0.25", "--shard-bytes", "20000", "--fit-bytes", "100000", "--quiet"]
    return [sys.executable, "-m", "pcdata.cli", "build", str(code), "-o", str(output), *views, *shape, f"-j{workers}"]


def run(command: Sequence[str], kill_at: str = "", kill_with: str = "SIGKILL", **more: Any) -> tuple[int, str]:
    """The exit code of a build that meets a signal at ``kill_at``, and what it said."""
    environment = {**os.environ, **({"PCDATA_KILL_AT": kill_at, "PCDATA_KILL_WITH": kill_with} if kill_at else {})}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False, **more)
    return done.returncode, done.stderr.strip()
