"""``fitted.json``: the record that ``pcdata fit`` writes beside an artifact, for builds that use it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pcdata.dataset.hashing import file_fault
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.manifest import Amount, FileEntry
from pcdata.dataset.names import regular_file
from pcdata.errors import DatasetError, OptionError

RECORD: Final = "fitted.json"
_VERSION: Final = 1


@dataclass(frozen=True)
class ArtifactRecord:
    """How an artifact came to be."""

    codec: str
    parameters: dict[str, Any]
    fitted_on: Amount
    libraries: dict[str, str]
    options: dict[str, Any]
    """Of the command, with a digest of its inputs: if both are unchanged, fitting is not repeated."""
    files: tuple[FileEntry, ...]

    def to_bytes(self) -> bytes:
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1).encode() + b"\n"


def read_record(folder: Path) -> ArtifactRecord | None:
    """The record in a folder; None if there is none, as for a file from another tool.

    Raises ``OptionError`` if it is damaged, or a file of the artifact is not the one that was written; and ``OSError``
    where the machine would not let a file be read, which says nothing about the file.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = _parse(parse_json(regular_file(folder, RECORD).read_bytes()))
        changed = [entry for entry in record.files if not _is_listed(folder, entry)]
    except (ValueError, DatasetError) as error:
        raise OptionError(f"{path} cannot be read ({error}); restore it or fit again") from None
    if changed:
        raise OptionError(f"{folder / changed[0].path} is not the file that {RECORD} lists; restore it or fit again")
    return record


def _parse(values: Any) -> ArtifactRecord:
    """Raises ``ValueError`` in words, and ``DatasetError`` for a path that leads out of the folder."""
    match values:
        case {
            "version": version,
            "codec": str(codec),
            "parameters": dict(parameters),
            "fitted_on": {"documents": int(documents), "raw_bytes": int(raw_bytes)},
            "libraries": dict(libraries),
            "options": dict(options),
            "files": list(files),
        } if version == _VERSION and len(values) == 7:
            amount = Amount(documents, raw_bytes)
            return ArtifactRecord(codec, parameters, amount, libraries, options, tuple(map(_parse_entry, files)))
        case {"version": int(version)} if version != _VERSION:
            raise ValueError(f"it is of another version, {version}; this pcdata reads {_VERSION}")
    raise ValueError("it is not a record of an artifact")


def _parse_entry(values: Any) -> FileEntry:
    match values:
        case {"path": str(path), "bytes": int(size), "sha256": str(digest)}:
            return FileEntry(path, size, digest)
    raise ValueError("it lists something other than files")


def _is_listed(folder: Path, entry: FileEntry) -> bool:
    """Whether the file is there as it was written."""
    try:
        regular_file(folder, entry.path)
        return file_fault(folder, entry) is None
    except (FileNotFoundError, NotADirectoryError):
        return False
