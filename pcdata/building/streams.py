"""Inputs that can be read only once (standard input, pipes) are saved in the workspace, because a build reads twice."""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from pcdata.building.workspace import Workspace
from pcdata.inputs.options import STDIN, InputOptions, is_stream


def without_streams(options: InputOptions, workspace: Workspace) -> InputOptions:
    """The same with files in place of streams. Streams are read now, unless the build that is being resumed has read
    all of them."""
    paths = list(options.paths)
    for number, path in enumerate(paths):
        if is_stream(path):
            name = _name_of_stream(number, path)
            if not workspace.has(name):
                opened = nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb")
                with workspace.writing(name) as file, opened as stream:
                    shutil.copyfileobj(stream, file, 1 << 20)
            paths[number] = workspace.folder / name
    return replace(options, paths=tuple(paths))


def _name_of_stream(number: int, path: Path) -> str:
    """The name of the saved file. A name made by the shell or the system means nothing, and changes each time."""
    if path == STDIN:
        return "stdin.jsonl"
    return f"input-{number}.jsonl" if path.is_symlink() or path.is_char_device() else f"input-{number}-{path.name}"
