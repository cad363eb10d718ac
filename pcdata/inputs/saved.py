"""Folders that ``datasets`` wrote with ``save_to_disk``: their files, in its order.

The folder may come from a stranger. A name in it that leads out of it is refused, and a missing file is reported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pcdata.dataset.json_files import parse_json
from pcdata.dataset.names import inside, regular_file
from pcdata.errors import DatasetError
from pcdata.inputs.file_names import printable
from pcdata.inputs.whose_fault import reading

_SPLITS: Final = "dataset_dict.json"
_FILES: Final = "state.json"

_MAX_BYTES: Final = 1 << 24
"""Largest size of an index file, which lists files of 500 MB each. A larger file is something else."""


class SavedFile(NamedTuple):
    """One listed file."""

    name: bytes
    """Its path in the folder."""
    fault: str | None
    """Why it cannot be read, if so; then it is not opened."""


def saved_files(folder: Path) -> list[SavedFile] | None:
    """The files of a saved dataset; None if the folder is not one, even if it has files of these names."""
    splits = _named(folder / _SPLITS, "splits")
    if splits is not None:
        return [file for name in splits for file in _files_of_split(folder, name)]
    names = _names_of_files(folder)
    return None if names is None else [_checked(folder, name) for name in names]


def _files_of_split(folder: Path, split: str) -> Iterator[SavedFile]:
    try:
        names = _names_of_files(inside(folder, split))
    except DatasetError as error:
        yield SavedFile(_as_bytes(split), str(error))
        return
    if names is None:
        yield SavedFile(_as_bytes(split), f"{_SPLITS} names it, and it has no {_FILES} with a list of files")
        return
    yield from (_checked(folder, f"{split}/{name}") for name in names)


def _names_of_files(folder: Path) -> list[str] | None:
    return _named(folder / _FILES, "_data_files", "filename")


def _named(path: Path, key: str, *inner: str) -> list[str] | None:
    """The names that a JSON file lists under a key, or in each object that it lists there."""
    with reading(printable(os.fsencode(path))):
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        data = path.read_bytes()
    names: Any = None
    with suppress(ValueError, KeyError, TypeError):
        names = parse_json(data)[key]
        for each in inner:
            names = [one[each] for one in names]
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list else None


def _checked(folder: Path, name: str) -> SavedFile:
    fault = None
    with reading(printable(_as_bytes(str(folder / name)))):
        try:
            regular_file(folder, name)
        except (FileNotFoundError, NotADirectoryError):
            fault = f"{_FILES} names it, and it is not there"
        except DatasetError as error:
            fault = str(error)
    return SavedFile(_as_bytes(name), fault)


def _as_bytes(name: str) -> bytes:
    return name.encode("utf-8", "backslashreplace")
