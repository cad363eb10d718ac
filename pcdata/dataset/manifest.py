"""``manifest.json``: everything about a dataset that is not a document. See FORMAT.md.

The types below are the file: one key per field, nothing else. The file carries a digest over its own other bytes, and
is written last: a folder without a manifest is not a dataset.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pcdata.dataset.json_files import parse_json
from pcdata.dataset.names import check_path, is_view_name, regular_file
from pcdata.dataset.schema import FORMAT_VERSION, KeptColumn, ViewTypes
from pcdata.dataset.vocab import ViewIds, Vocabulary
from pcdata.errors import DatasetError

MANIFEST: Final = "manifest.json"
REJECTS: Final = "rejects.jsonl"
SPLITS: Final = ("train", "val")

_DIGEST_START = b'{\n "digest": "'
_DIGEST_HEX = 64


@dataclass(frozen=True)
class FileEntry:
    """One file of the dataset."""

    path: str
    """Relative to the dataset's folder, with forward slashes."""
    bytes: int
    sha256: str
    """Hex."""

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True)
class BaseShard:
    """The documents of one shard."""

    file: FileEntry
    documents: int
    raw_bytes: int
    block_documents: tuple[int, ...]
    """Documents per record batch, in order."""


@dataclass(frozen=True)
class ViewShard:
    """One view of one shard; its record batches hold the same documents as the base's."""

    file: FileEntry
    symbols: int
    units: int


@dataclass(frozen=True)
class Amount:
    """How much there is of something: a language, a fitting sample."""

    documents: int
    raw_bytes: int


@dataclass(frozen=True)
class Base:
    """The raw documents."""

    fingerprint: str
    splits: dict[str, tuple[BaseShard, ...]]
    """By split (``train``, ``val``), in shard order."""
    languages: dict[str, Amount]
    """The 100 languages with most raw bytes, the rest summed as ``(other)``."""

    def __post_init__(self) -> None:
        _check_splits(self.splits)


@dataclass(frozen=True)
class View:
    """One view of all documents."""

    name: str
    codec: str
    parameters: dict[str, Any]
    """The codec's parameters, all of them, defaults included."""
    backends: dict[str, str]
    """What was chosen once and must not change, such as the engine that applies a BPE."""
    fitted_on: Amount | None
    """The sample the codec was fitted on; None if it was handed an artifact or needs none."""
    artifact: tuple[FileEntry, ...]
    versions: dict[str, str]
    """Of the libraries whose output the view's bytes are."""
    ids: str
    """``own``, or ``raw`` where the symbols share the ids of the raw bytes."""
    slot: int
    first_id: int
    n_symbols: int
    max_unit_bytes: int
    max_unit_symbols: int
    units_independent: bool
    """Whether each unit decodes by itself, or only after those before it."""
    unit_bytes_histogram: tuple[int, ...]
    """Entry k counts the units of 2^(k-1) … 2^k - 1 raw bytes."""
    splits: dict[str, tuple[ViewShard, ...]]
    fingerprint: str

    def __post_init__(self) -> None:
        if not is_view_name(self.name):
            raise DatasetError(f"{self.name!r} is no name of a view; give it one of a-z, 0-9, '_', '-' and '.'")
        _check_splits(self.splits)
        for entry in self.artifact:
            if entry.path.rpartition("/")[0] != f"views/{self.name}/artifact":
                raise DatasetError(f"view {self.name} has an artifact elsewhere: {entry.path}")

    @property
    def types(self) -> ViewTypes:
        return ViewTypes(self.n_symbols, self.max_unit_bytes, self.max_unit_symbols)

    @property
    def view_ids(self) -> ViewIds:
        return ViewIds(self.slot, self.first_id, self.n_symbols)


@dataclass(frozen=True)
class Manifest:
    """The whole file, but for its version and digest."""

    options: dict[str, Any]
    """The options of the build that shape its result."""
    base: Base
    views: tuple[View, ...]
    """In the order they were added."""
    next_slot: int
    """The slot the next added view gets; slots of dropped views are not used again."""
    next_id: int
    """The first symbol id the next added view gets; likewise."""
    rejects: dict[str, int]
    """How many inputs were not taken, by reason; rejects.jsonl has them one by one."""
    rejects_file: FileEntry
    versions: dict[str, str]

    @property
    def kept_columns(self) -> list[KeptColumn]:
        """The columns of the base files that were carried through from the input (``options.keep``)."""
        return [KeptColumn.parse(text) for text in self.options.get("keep", [])]

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary({view.name: view.view_ids for view in self.views})

    def view(self, name: str) -> View:
        """Raises ``DatasetError`` with the names there are."""
        for view in self.views:
            if view.name == name:
                return view
        known = ", ".join(view.name for view in self.views) or "none"
        raise DatasetError(f"this dataset has no view {name!r}; it has: {known}")

    def files(self) -> list[FileEntry]:
        """Every file of the dataset but the manifest, in a fixed order."""
        entries = [self.rejects_file]
        entries += [shard.file for shards in self.base.splits.values() for shard in shards]
        for view in self.views:
            entries += view.artifact
            entries += [shard.file for shards in view.splits.values() for shard in shards]
        return entries

    def to_bytes(self) -> bytes:
        """The file's content, digest included."""
        body = {"digest": "", "format": "pcdata", "version": FORMAT_VERSION, **dataclasses.asdict(self)}
        text = (json.dumps(body, indent=1) + "\n").encode()
        head = len(_DIGEST_START)
        return text[:head] + _digest(text).encode() + text[head:]

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Raises ``DatasetError`` naming ``where`` if the bytes are not exactly what some ``to_bytes`` made."""
        head = len(_DIGEST_START)
        found = data[head : head + _DIGEST_HEX]
        rest = data[:head] + data[head + _DIGEST_HEX :]
        intact = data.startswith(_DIGEST_START) and _digest(rest).encode() == found
        try:
            body = parse_json(data)
        except ValueError:
            raise DatasetError(f"{where} is damaged: it is not JSON; restore it from a copy or rebuild") from None
        version = body.pop("version", None) if isinstance(body, dict) else None
        if version != FORMAT_VERSION and (intact or isinstance(version, int)):
            raise DatasetError(
                f"{where} has format version {version!r}, this pcdata reads {FORMAT_VERSION}; "
                "upgrade pcdata or build the dataset again"
            )
        if not intact:
            raise DatasetError(f"{where} is damaged: its digest does not match; restore it from a copy or rebuild")
        del body["digest"], body["format"]
        return typing.cast(Manifest, _typed(cls, body, where))


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``. Raises ``DatasetError`` if it is missing, damaged or of another version."""
    path = folder / MANIFEST
    try:
        data = regular_file(folder, MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            raise DatasetError(f"{folder} does not exist; give the folder that pcdata build wrote") from None
        hint = "its build is not finished, run it again" if (folder / ".build").exists() else "run pcdata build first"
        raise DatasetError(f"{folder} is not a dataset (it has no {MANIFEST}); {hint}") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    return Manifest.from_bytes(data, str(path))


def _check_splits(splits: Mapping[str, Any]) -> None:
    for name in splits:
        if name not in SPLITS:
            raise DatasetError(f"split {name!r} is none of {', '.join(SPLITS)}")


def fingerprint(files: typing.Iterable[FileEntry], **identity: Any) -> str:
    """BLAKE2b (16 bytes, hex) over the format version, the files' SHA-256 in order, and what else identifies them."""
    content = {"version": FORMAT_VERSION, "files": [file.sha256 for file in files], **identity}
    return hashlib.blake2b(
        json.dumps(content, sort_keys=True).encode(), digest_size=16, person=b"pcdata.print"
    ).hexdigest()


def base_fingerprint(splits: Mapping[str, Sequence[BaseShard]]) -> str:
    """Identifies the raw documents: over the base files of all splits, in split order."""
    return fingerprint(shard.file for name in SPLITS for shard in splits.get(name, ()))


def view_fingerprint(view: View) -> str:
    """Identifies a view, whatever its name and ids. ``view.fingerprint`` itself is not looked at."""
    return fingerprint(
        (shard.file for name in SPLITS for shard in view.splits.get(name, ())),
        codec=view.codec,
        parameters=view.parameters,
        backends=view.backends,
        artifact=[entry.sha256 for entry in view.artifact],
    )


def _digest(rest: bytes) -> str:
    return hashlib.blake2b(rest, digest_size=_DIGEST_HEX // 2, person=b"pcdata.manifest").hexdigest()


_type_hints = functools.cache(typing.get_type_hints)
"""To work them out anew for each shard would be half of the time that reading a manifest takes."""


def _typed(kind: Any, value: Any, where: str) -> Any:
    """Rebuild dataclasses from parsed JSON, refusing what does not fit their types."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _type_hints(kind)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise DatasetError(f"{where}: {kind.__name__} has other fields than format version {FORMAT_VERSION} says")
        fields = {name: _typed(hint, value[name], where) for name, hint in hints.items()}
        try:
            return kind(**fields)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _typed(arguments[1], item, where) for key, item in value.items()}
    if origin is types.UnionType:
        return None if value is None else _typed(arguments[0], value, where)
    if kind is Any or (isinstance(kind, type) and isinstance(value, kind)):
        return value
    raise DatasetError(f"{where}: found {value!r} where format version {FORMAT_VERSION} has {kind}")
