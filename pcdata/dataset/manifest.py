"""``manifest.json``: everything about a dataset that is not a document. See FORMAT.md.

The types below are the file: one key per field, nothing else. The file carries a digest over its own other bytes, and
is written last: a folder without a manifest is not a dataset.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pcdata.dataset.histogram import BIT_LENGTHS
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.names import check_path, is_view_name, regular_file
from pcdata.dataset.schema import DOC_ID_BYTES, FORMAT_VERSION, KeptColumn, ViewTypes
from pcdata.dataset.typed_json import typed
from pcdata.dataset.vocab import MAX_VIEWS, ViewIds, Vocabulary
from pcdata.errors import DatasetError

MANIFEST: Final = "manifest.json"
REJECTS: Final = "rejects.jsonl"
SPLITS: Final = ("train", "val")

MAX_MANIFEST_BYTES: Final = 100_000_000
"""A dataset of 3.3 TB raw bytes needs 9 MB. Parsing takes up to 25 times the size in memory, in an untrusted file."""

_MOST: Final = 2**63 - 1
_MOST_ID: Final = 2**40
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

_DIGEST_START = b'{\n "digest": "'
_DIGEST_HEX = 64


@dataclass(frozen=True)
class FileEntry:
    path: str
    """Relative to the dataset's folder, with forward slashes."""
    bytes: int
    sha256: str
    """Hex."""

    def __post_init__(self) -> None:
        check_path(self.path)
        _check_count(f"{self.path}: bytes", self.bytes)
        if not _SHA256.fullmatch(self.sha256):
            raise DatasetError(f"{self.path}: sha256 is no SHA-256")


@dataclass(frozen=True)
class BaseShard:
    file: FileEntry
    documents: int
    raw_bytes: int
    block_documents: tuple[int, ...]
    """Documents per record batch, in order."""

    def __post_init__(self) -> None:
        """A file holds what the manifest counts, uncompressed, so its size limits every count."""
        _check_count(f"{self.file.path}: raw_bytes", self.raw_bytes, self.file.bytes)
        _check_count(f"{self.file.path}: documents", self.documents, self.file.bytes // DOC_ID_BYTES)
        if min(self.block_documents, default=1) < 1:
            raise DatasetError(f"{self.file.path}: a block has {min(self.block_documents)} documents")
        _check_count(f"{self.file.path}: block_documents", sum(self.block_documents), self.file.bytes // DOC_ID_BYTES)


@dataclass(frozen=True)
class ViewShard:
    """One view of one shard; its record batches hold the same documents as the base's."""

    file: FileEntry
    symbols: int
    units: int

    def __post_init__(self) -> None:
        _check_count(f"{self.file.path}: symbols", self.symbols, self.file.bytes)
        _check_count(f"{self.file.path}: units", self.units, self.file.bytes)


@dataclass(frozen=True)
class Amount:
    """How much there is of something: a language, a fitting sample."""

    documents: int
    raw_bytes: int

    def __post_init__(self) -> None:
        _check_count("documents", self.documents)
        _check_count("raw_bytes", self.raw_bytes)


@dataclass(frozen=True)
class Base:
    fingerprint: str
    splits: dict[str, tuple[BaseShard, ...]]
    """By split (``train``, ``val``), in shard order."""
    languages: dict[str, Amount]
    """The 100 languages with most raw bytes, the rest summed as ``(other)``."""

    def __post_init__(self) -> None:
        _check_splits(self.splits)

    @property
    def shards(self) -> list[BaseShard]:
        """Of all splits."""
        return [*chain.from_iterable(self.splits.values())]


@dataclass(frozen=True)
class FittedView:
    """A codec that is ready to encode: what is known of a view before its documents are encoded."""

    name: str
    codec: str
    parameters: dict[str, Any]
    """The codec's parameters, all of them, defaults included."""
    backends: dict[str, str]
    """Choices made once that must not change, such as the engine that applies a BPE."""
    fitted_on: Amount | None
    """The sample the codec was fitted on; None if it needs none or got an artifact."""
    artifact: tuple[FileEntry, ...]
    versions: dict[str, str]
    """Versions of the libraries that the view's bytes depend on."""
    ids: str
    """``own``, or ``raw`` where the symbols share the ids of the raw bytes."""

    def __post_init__(self) -> None:
        if not is_view_name(self.name):
            raise DatasetError(f"{self.name!r} is no name of a view; give it one of a-z, 0-9, '_', '-' and '.'")
        if self.ids not in ("own", "raw"):
            raise DatasetError(f"view {self.name}: ids is {self.ids!r}, allowed are own and raw")
        for entry in self.artifact:
            if entry.path.rpartition("/")[0] != f"views/{self.name}/artifact":
                raise DatasetError(f"view {self.name} has an artifact elsewhere: {entry.path}")

    @property
    def has_unit_lengths(self) -> bool:
        """Whether its symbols encode the length of each unit. Those of windows, whose codecs have a parameter
        ``window_bits`` (``pcdata.codecs.window_codec``), do not, and decode only with the stored lengths."""
        return "window_bits" not in self.parameters

    @property
    def codec_file(self) -> str:
        """The file to blame if the view's codec fails, as a path in the dataset: its artifact, if it has one."""
        if not self.artifact:
            return MANIFEST
        return self.artifact[0].path if len(self.artifact) == 1 else f"views/{self.name}/artifact"


@dataclass(frozen=True)
class View(FittedView):
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
        super().__post_init__()
        _check_splits(self.splits)
        for what, count, least, most in (
            ("slot", self.slot, 0, MAX_VIEWS - 1),
            ("first_id", self.first_id, 0, _MOST_ID),
            ("n_symbols", self.n_symbols, 1, 2**32),
            ("max_unit_bytes", self.max_unit_bytes, 1, 2**32 - 1),
            ("max_unit_symbols", self.max_unit_symbols, 1, 2**32 - 1),
            ("the length of unit_bytes_histogram", len(self.unit_bytes_histogram), 0, BIT_LENGTHS),
            *(("unit_bytes_histogram", count, 0, _MOST) for count in self.unit_bytes_histogram),
        ):
            _check_count(f"view {self.name}: {what}", count, most, least)

    @property
    def shards(self) -> list[ViewShard]:
        """Of all splits."""
        return [*chain.from_iterable(self.splits.values())]

    @property
    def types(self) -> ViewTypes:
        return ViewTypes(self.n_symbols, self.max_unit_bytes, self.max_unit_symbols)

    @property
    def files(self) -> list[FileEntry]:
        return [*self.artifact, *(shard.file for shard in self.shards)]

    @property
    def view_ids(self) -> ViewIds:
        return ViewIds(self.slot, self.first_id, self.n_symbols)


@dataclass(frozen=True)
class Manifest:
    """The whole file, without its version and digest."""

    options: dict[str, Any]
    """The options of the build that shape its result."""
    base: Base
    views: tuple[View, ...]
    """In the order they were added."""
    next_slot: int
    """The slot of the next added view; slots of dropped views are not reused."""
    next_id: int
    """The first symbol id of the next added view; likewise."""
    rejects: dict[str, int]
    """Number of rejected inputs, by reason; rejects.jsonl lists them."""
    rejects_file: FileEntry
    versions: dict[str, str]

    def __post_init__(self) -> None:
        _check_options(self.options)
        _check_count("next_slot", self.next_slot, MAX_VIEWS)
        _check_count("next_id", self.next_id, _MOST_ID)
        for reason, count in self.rejects.items():
            _check_count(f"rejects, {reason}", count)
        shards = {split: len(of_split) for split, of_split in self.base.splits.items()}
        for view in self.views:
            if {split: len(of_split) for split, of_split in view.splits.items()} != shards:
                raise DatasetError(f"view {view.name} has other splits or shards than the base files")
        if len({view.name for view in self.views}) < len(self.views):
            raise DatasetError("two views have one name")

    @property
    def kept_columns(self) -> list[KeptColumn]:
        """The columns kept from the input (``options.keep``)."""
        return _kept_columns(self.options)

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary({view.name: view.view_ids for view in self.views})

    def view(self, name: str) -> View:
        """Raises ``DatasetError`` with the known names."""
        for view in self.views:
            if view.name == name:
                return view
        known = ", ".join(view.name for view in self.views) or "none"
        raise DatasetError(f"this dataset has no view {name!r}; it has: {known}")

    def files(self) -> list[FileEntry]:
        """Every file of the dataset except the manifest, in a fixed order."""
        of_views = (entry for view in self.views for entry in view.files)
        return [self.rejects_file, *(shard.file for shard in self.base.shards), *of_views]

    def to_bytes(self) -> bytes:
        """The file's content, digest included."""
        body = {"digest": "", "format": "pcdata", "version": FORMAT_VERSION, **dataclasses.asdict(self)}
        text = rendered_json(body)
        head = len(_DIGEST_START)
        return text[:head] + _digest(text).encode() + text[head:]

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Raises ``DatasetError`` naming ``where`` unless the bytes are exactly what ``to_bytes`` makes."""
        head = len(_DIGEST_START)
        found = data[head : head + _DIGEST_HEX]
        rest = data[:head] + data[head + _DIGEST_HEX :]
        intact = data.startswith(_DIGEST_START) and _digest(rest).encode() == found
        try:
            body = parse_json(data)
        except ValueError as error:
            what = f"it is not JSON ({error})"
            raise DatasetError(f"{where} is damaged: {what}; restore it from a copy or rebuild") from None
        version = body.pop("version", None) if isinstance(body, dict) else None
        if version != FORMAT_VERSION and (intact or isinstance(version, int)):
            raise DatasetError(
                f"{where} has format version {version!r}, this pcdata reads {FORMAT_VERSION}; "
                "upgrade pcdata or build the dataset again"
            )
        if not intact:
            raise DatasetError(f"{where} is damaged: its digest does not match; restore it from a copy or rebuild")
        del body["digest"]
        if body.pop("format", None) != "pcdata":
            raise DatasetError(
                f"{where} is another program's: its format is not pcdata; give a dataset of pcdata build"
            )
        try:
            return typing.cast(Manifest, typed(cls, body))
        except DatasetError as error:
            raise DatasetError(
                f"{where} is none of format version {FORMAT_VERSION}: {error}; rebuild the dataset"
            ) from None


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``. Raises ``DatasetError`` if it is missing, damaged or of another version."""
    path = folder / MANIFEST
    try:
        with regular_file(folder, MANIFEST).open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            raise DatasetError(f"{folder} does not exist; give the folder that pcdata build wrote") from None
        hint = "its build is not finished, run it again" if (folder / ".build").exists() else "run pcdata build first"
        raise DatasetError(f"{folder} is not a dataset (it has no {MANIFEST}); {hint}") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise DatasetError(f"{path} has more than {MAX_MANIFEST_BYTES:,} bytes; build larger shards (--shard-bytes)")
    return Manifest.from_bytes(data, str(path))


def _check_splits(splits: Mapping[str, Any]) -> None:
    for name in splits:
        if name not in SPLITS:
            raise DatasetError(f"split {name!r} is none of {', '.join(SPLITS)}")


def _check_count(what: str, count: int, most: int = _MOST, least: int = 0) -> None:
    if not least <= count <= most:
        raise DatasetError(f"{what} is {count:.4g}, allowed is {least} … {most:.4g}")


_OPTIONS: Final[Mapping[str, Any]] = {
    "inputs": tuple[str, ...],
    "keep": tuple[str, ...],
    "compressors": tuple[dict[str, Any], ...],
    "shard_bytes": int | None,
    "fit_bytes": int,
}
"""Options that other commands than ``config`` read, with their types."""


def _check_options(options: Mapping[str, Any]) -> None:
    """Checks only options that are present: other versions may have fewer."""
    for key in options.keys() & _OPTIONS.keys():
        try:
            value = typed(_OPTIONS[key], options[key])
        except DatasetError as error:
            raise DatasetError(f"options.{key}: {error}") from None
        if isinstance(value, int):
            _check_count(f"options.{key}", value)
    if not all(isinstance(values.get("name"), str) for values in options.get("compressors", [])):
        raise DatasetError("options.compressors: one has no name")
    kept = [column.name for column in _kept_columns(options)]
    if len({*kept}) < len(kept):
        raise DatasetError("options.keep: two columns have one name")


def _kept_columns(options: Mapping[str, Any]) -> list[KeptColumn]:
    try:
        return [KeptColumn.parse(text) for text in options.get("keep", [])]
    except ValueError as error:
        raise DatasetError(f"options.keep: {error}") from None


def fingerprint(files: typing.Iterable[FileEntry], **identity: Any) -> str:
    """BLAKE2b (16 bytes, hex) over the format version, the files' SHA-256 in order, and ``identity``."""
    content = {"version": FORMAT_VERSION, "files": [file.sha256 for file in files], **identity}
    return hashlib.blake2b(
        json.dumps(content, sort_keys=True).encode(), digest_size=16, person=b"pcdata.print"
    ).hexdigest()


def base_fingerprint(splits: Mapping[str, Sequence[BaseShard]]) -> str:
    """Identifies the raw documents: over the base files of all splits, in split order."""
    return fingerprint(shard.file for name in SPLITS for shard in splits.get(name, ()))


def view_fingerprint(view: View) -> str:
    """Identifies a view, whatever its name and ids. Does not read ``view.fingerprint``."""
    return fingerprint(
        (shard.file for name in SPLITS for shard in view.splits.get(name, ())),
        codec=view.codec,
        parameters=view.parameters,
        backends=view.backends,
        artifact=[entry.sha256 for entry in view.artifact],
    )


def _digest(rest: bytes) -> str:
    return hashlib.blake2b(rest, digest_size=_DIGEST_HEX // 2, person=b"pcdata.manifest").hexdigest()
