"""Options for the inputs: what is read, and what becomes a document."""

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
"""The input for JSONL on standard input."""

MAX_DOCUMENT_BYTES = 1 << 30
"""The largest value of ``max_document_bytes``; codecs may rely on it."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""A URL that became a path, which has no two slashes in a row."""


@dataclass(frozen=True)
class InputOptions:
    """What is read."""

    section: ClassVar = "Inputs"

    paths: tuple[Path, ...] = ()
    format: str = option(
        "auto",
        "Format of the inputs. auto: a file has the format that its name says; in a folder every file is a document, "
        "unless Hugging Face datasets saved the folder. files: every file is a document. jsonl, parquet, arrow, tar: "
        "files of records, or folders of them.",
        choices=("auto", "files", "jsonl", "parquet", "arrow", "tar"),
    )
    include: tuple[str, ...] = option((), "Only files that match; may be repeated.", metavar="GLOB")
    exclude: tuple[str, ...] = option((), "Skip files and folders that match; may be repeated.", metavar="GLOB")
    default_excludes: bool = option(
        True,
        "Include folders inside of INPUTS that are skipped by default: those made by tools (.git, .venv, node_modules, "
        "dist, target, caches), datasets and runs. --include does not bring them back.",
        flag="no-default-excludes",
    )
    keep_binary: bool = option(False, "Include files that have a NUL among their first 8000 bytes.")
    text_key: str = option("", "Key of the text in records. [default: text, content or code]")
    keep: tuple[str, ...] = option((), "Field of records to keep as a column.", metavar="COLUMN[:TYPE]")
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
        """The columns of ``keep``. Raises ``OptionError``."""
        from pcdata.dataset.schema import KeptColumn

        try:
            return [KeptColumn.parse(text) for text in self.keep]
        except ValueError as error:
            raise OptionError(f"--keep: {error}") from None

    @cached_property
    def root_folders(self) -> list[bytes]:
        """The folder that each input's paths are relative to, with a slash at its end: itself, or a file's parent."""
        return [os.path.join(os.fsencode(path if path.is_dir() else path.parent), b"") for path in self.paths]  # noqa: PTH118

    @cached_property
    def are_folders(self) -> list[bool]:
        """Whether each input is a folder, in which symbolic links are not followed."""
        return [path.is_dir() for path in self.paths]

    @cached_property
    def source_names(self) -> list[str]:
        """The name of each input, for the column ``source``."""
        return [printable(os.fsencode(path.resolve().name)) or "/" for path in self.paths]


def is_stream(path: Path) -> bool:
    """Whether an input can be read only once: standard input, a pipe."""
    return path == STDIN or path.is_fifo() or path.is_char_device()


def refuse_url(path: Path) -> None:
    """Raise ``OptionError`` for a URL."""
    if _URL.match(str(path)) and not path.exists():
        raise OptionError(f"{path} is a URL; copy or mount what is there, and give its path on this machine")
