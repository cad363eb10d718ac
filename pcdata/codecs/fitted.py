"""``fitted.json``: what ``pcdata fit`` writes down beside an artifact's files, for those who hand it to a build."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pcdata.dataset.json_files import parse_json
from pcdata.dataset.manifest import Amount, FileEntry
from pcdata.dataset.names import regular_file
from pcdata.errors import DatasetError, OptionError

RECORD: Final = "fitted.json"
_VERSION: Final = 1


@dataclass(frozen=True)
class Record:
    """How an artifact came to be."""

    codec: str
    parameters: dict[str, Any]
    fitted_on: Amount
    libraries: dict[str, str]
    options: dict[str, Any]
    """Of the command, and a digest of its inputs: the same again need not be done again."""
    files: tuple[FileEntry, ...]

    def to_bytes(self) -> bytes:
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1).encode() + b"\n"


def read_record(folder: Path) -> Record | None:
    """The record in a folder; None where there is none, as beside a file that was made by other means.

    Raises ``OptionError`` if it is damaged, or a file of the artifact is not the one that was written.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        values = parse_json(path.read_bytes())
        if values.pop("version") != _VERSION:
            raise OptionError(f"{path} is of another version; fit again with this pcdata")
        files = tuple(FileEntry(**entry) for entry in values.pop("files"))
        record = Record(**values | {"fitted_on": Amount(**values["fitted_on"])}, files=files)
        changed = [entry.path for entry in files if _sha256(regular_file(folder, entry.path)) != entry.sha256]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DatasetError) as error:
        raise OptionError(f"{path} cannot be read ({error!r}); restore it or fit again") from error
    if changed:
        raise OptionError(f"{folder / changed[0]} is not the file that {RECORD} lists; restore it or fit again")
    return record


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
