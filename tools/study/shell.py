"""Running pcdata and pctrain as a user would, each on one thread, so that no figure depends on the number of cores."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tools.study.plan import StudyError

_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def run(*words: object) -> str:
    """The output of a command: ``pcdata`` and ``pctrain`` beside this Python, or ``python``, this Python itself.

    Raises ``StudyError`` with its last line if it failed.
    """
    first, *rest = map(str, words)
    program = sys.executable if first == "python" else str(Path(sys.executable).with_name(first))
    environment = {**os.environ, **_ONE_THREAD}
    done = subprocess.run([program, *rest], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise StudyError(f"{typed(*words)}: exit code {done.returncode}: {said[-1]}")
    return done.stdout


def typed(*words: object) -> str:
    """A command as one would type it."""
    return shlex.join(map(str, words))


def settings(values: Mapping[str, Any]) -> list[str]:
    """The arguments that give settings to ``pctrain fit``."""
    return [word for key, value in values.items() for word in ("--set", f"{key}={_toml(value)}")]


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
