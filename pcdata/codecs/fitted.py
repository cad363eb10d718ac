"""``fitted.json``: the record that ``pcdata fit`` writes beside an artifact, for builds that use it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pcdata.dataset.hashing import require_sound
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.manifest import Amount, FileEntry
from pcdata.dataset.names import regular_file
from pcdata.dataset.typed_json import typed
from pcdata.errors import DatasetError, OptionError

RECORD: Final = "fitted.json"
_VERSION: Final = 1


@dataclass(frozen=True)
class ArtifactRecord:
    """How an artifact was made."""

    codec: str
    parameters: dict[str, Any]
    fitted_on: Amount
    libraries: dict[str, str]
    options: dict[str, Any]
    """The command's options, with a digest of its inputs: if both are unchanged, fitting is not repeated."""
    files: tuple[FileEntry, ...]

    def to_bytes(self) -> bytes:
        return rendered_json({"version": _VERSION, **asdict(self)})


def read_record(folder: Path) -> ArtifactRecord | None:
    """The record in a folder; None if there is none, as for a file from another tool.

    Raises ``OptionError`` if it is damaged, or a file of the artifact is not the one that was written; and ``OSError``
    if the machine refuses to read a file, which says nothing about the file.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = _parse(parse_json(regular_file(folder, RECORD).read_bytes()))
    except (ValueError, DatasetError) as error:
        raise OptionError(f"{path} cannot be read ({error}); restore it or fit again") from None
    for entry in record.files:
        try:
            require_sound(folder, entry)
        except DatasetError:
            raise OptionError(
                f"{folder / entry.path} is not the file that {RECORD} lists; restore it or fit again"
            ) from None
    return record


def _parse(values: Any) -> ArtifactRecord:
    """Raises ``ValueError`` or ``DatasetError`` with a sentence."""
    version = values.pop("version", None) if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise ValueError("it is not a record of an artifact")
    if version != _VERSION:
        raise ValueError(f"it is of another version, {version}; this pcdata reads {_VERSION}")
    record: ArtifactRecord = typed(ArtifactRecord, values)
    return record
