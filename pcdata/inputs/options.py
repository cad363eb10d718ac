"""What is read, and how: the inputs, and what becomes a document of them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pcdata.errors import OptionError
from pcdata.inputs.file_names import printable
from pcdata.options import check_options, option

if TYPE_CHECKING:
    from pcdata.dataset.schema import KeptColumn

STDIN = Path("-")
"""As an input: JSONL on standard input."""

MAX_DOCUMENT_BYTES = 1 << 30
"""The largest value of ``max_document_bytes``; codecs may count on it."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""How one begins as a path, which has no two slashes in a row."""


@dataclass(frozen=True)
class InputOptions:
    """What is read."""

    section: ClassVar = "Inputs"

    paths: tuple[Path, ...] = ()
    format: str = option(
        "auto",
        "What the inputs are. auto: a folder is a tree of files, each a document, or what datasets saved; a file is "
        "what its name says. Or files; or jsonl, parquet, arrow, tar: files of records, or folders of such files.",
        choices=("auto", "files", "jsonl", "parquet", "arrow", "tar"),
    )
    include: tuple[str, ...] = option((), "Take only files that match; may be repeated.", metavar="GLOB")
    exclude: tuple[str, ...] = option((), "Pass over files and folders that match.", metavar="GLOB")
    default_excludes: bool = option(
        True,
        "Also take folders inside of INPUTS that tools made (.git, .venv, node_modules, dist, target, caches), "
        "datasets and runs, which --include does not bring back.",
        flag="no-default-excludes",
    )
    keep_binary: bool = option(False, "Take files that have a NUL among their first 8000 bytes.")
    text_key: str = option("", "The key of a record's text; default: text, content or code.")
    keep: tuple[str, ...] = option((), "Carry a record's field through to the dataset.", metavar="COLUMN[:TYPE]")
    max_document_bytes: int = option(
        262_144, "Longer documents are cut at line ends.", least=16, most=MAX_DOCUMENT_BYTES
    )
    strict: bool = option(False, "Stop at a record that cannot be read, instead of counting it.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.keep and len({column.name for column in self.kept_columns}) < len(self.keep):
            raise OptionError(f"--keep names a column twice: {', '.join(self.keep)}")
        if not self.paths:
            raise OptionError("no input given; name at least one folder or JSONL file")
        for number, path in enumerate(self.paths):
            refuse_url(path)
            if not path.exists() and path != STDIN:
                raise OptionError(f"input {path} does not exist")
            if path.resolve() in [other.resolve() for other in self.paths[:number]]:
                raise OptionError(f"input {path} is given twice")

    def anchored(self) -> InputOptions:
        """The same with absolute paths."""
        return replace(self, paths=tuple(path.absolute() for path in self.paths))

    @cached_property
    def kept_columns(self) -> list[KeptColumn]:
        """What ``keep`` says. Raises ``OptionError``."""
        from pcdata.dataset.schema import KeptColumn

        try:
            return [KeptColumn.parse(text) for text in self.keep]
        except ValueError as error:
            raise OptionError(f"--keep: {error}") from None

    @cached_property
    def root_folders(self) -> list[bytes]:
        """The folder that each input's entries are relative to, with a slash at its end: itself, or a file's parent."""
        return [os.path.join(os.fsencode(path if path.is_dir() else path.parent), b"") for path in self.paths]  # noqa: PTH118

    @cached_property
    def are_folders(self) -> list[bool]:
        """Whether each input is a folder, of which no symbolic links are followed."""
        return [path.is_dir() for path in self.paths]

    @cached_property
    def source_names(self) -> list[str]:
        """The name of each input: what stands in the column ``source``."""
        return [printable(os.fsencode(path.resolve().name)) or "/" for path in self.paths]


def is_stream(path: Path) -> bool:
    """Whether an input can be read only once: standard input, a pipe."""
    return path == STDIN or path.is_fifo() or path.is_char_device()


def refuse_url(path: Path) -> None:
    """Raise ``OptionError`` for what is meant to be elsewhere."""
    if _URL.match(str(path)) and not path.exists():
        raise OptionError(f"{path} is a URL; copy or mount what is there, and give its path on this machine")
