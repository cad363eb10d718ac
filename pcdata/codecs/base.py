"""The definition of a codec, and finding one by name.

A codec turns raw bytes into symbols cut into units, and back. It is a class registered under the entry-point group
``pcdata.codecs``; built-in codecs are registered like any other. Its options are the fields of a frozen
dataclass; the result of fitting it (a dictionary, a vocabulary) is an *artifact*: a few named files, kept as bytes.
"""

from __future__ import annotations

import inspect
import stat
import typing
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pcdata.codecs.fitted import read_record
from pcdata.dataset.alignment import Alignment
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.columns import offsets_of as offsets_of
from pcdata.dataset.hashing import require_sound
from pcdata.dataset.manifest import FittedView
from pcdata.dataset.names import regular_file
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError, DatasetError, OptionError, meant
from pcdata.options import require_choice as require_choice
from pcdata.options import require_range as require_range

ENTRY_POINTS = "pcdata.codecs"

Artifact: TypeAlias = Mapping[str, bytes]
"""File name → content. Empty for a codec that is not fitted."""


class Ratio(NamedTuple):
    """Two sums, so that partial measurements can be added before they are divided."""

    over: float
    under: float


class Codec(ABC):
    """Raw bytes ↔ symbols and units.

    The laws, for every byte string, ``b""`` included (it has no symbols and no units):

    * lossless: ``decode(encode(raw)) == raw``;
    * aligned: the first k units alone decode to exactly the raw bytes that they encode;
    * reproducible: the symbols are a function of the raw bytes, parameters, artifact, backends and library versions.
    """

    Parameters: ClassVar[type[Any]]
    """A frozen dataclass of int, str and bool fields with defaults; its ``__post_init__`` rejects bad values with
    ``OptionError``."""

    types: ViewTypes
    """Maxima of symbols and units. An instance must never exceed them, for any input."""
    units_independent: bool
    """Whether every unit decodes without those before it."""
    artifacts_of: ClassVar[str] = ""
    """Another codec whose artifacts this one uses, too."""

    @abstractmethod
    def __init__(self, parameters: Any, artifact: Artifact, backends: Mapping[str, str]) -> None:
        """Raises ``CodecError`` naming the fault if the artifact cannot be used."""

    @abstractmethod
    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        """Encode a batch. The result's symbols and units belong to the caller."""

    @abstractmethod
    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        """The raw bytes of one document, or of its first units if given only those.

        Raises ``CodecError`` for symbols that ``encode`` cannot have made.
        """

    def faults(
        self, documents: Sequence[bytes], columns: ViewColumns, rows: Sequence[int]
    ) -> Iterator[tuple[int, str]]:
        """The ``rows`` whose symbols do not encode their document, each with what is wrong.

        ``columns`` has the right types, and units that end where documents and symbols do. The default decodes; a
        codec may be faster, since the bytes are known, if it finds everything that decoding would find.
        """
        for row in rows:
            what = decode_fault(self, columns, row, documents[row], zlib.crc32(documents[row]))
            if what is not None:
                yield row, what

    def figures(self, documents: Sequence[bytes]) -> Mapping[str, Ratio]:
        """Figures other than lengths on some documents, for people who choose a codec."""
        return {}

    @classmethod
    def symbols_are_bytes(cls, parameters: Any) -> bool:
        """Whether symbol b is the byte value b of some byte stream, so that a view may share the raw ids
        (``ids=raw``)."""
        return False

    @classmethod
    def is_fitted(cls, parameters: Any) -> bool:
        """Whether ``fit`` must be called (or an artifact handed in) before an instance can be made: by default, whether
        the class defines it."""
        return inspect.getattr_static(cls, "fit") is not vars(Codec)["fit"]

    @classmethod
    def fit(cls, parameters: Any, sample: Sequence[bytes]) -> Artifact:
        """Make the artifact from a sample of the corpus. The same sample gives the same bytes."""
        return {}

    @classmethod
    def read_artifact(cls, path: Path) -> Artifact:
        """Read an artifact that a user supplied. The default takes a file, or the files of a folder that ``pcdata fit``
        wrote or that is part of a dataset."""
        record = read_record(path)
        try:
            if not path.is_dir():
                if not stat.S_ISREG(path.stat().st_mode):
                    raise OptionError(f"artifact {path} is not a regular file; name one")
                return {path.name: path.read_bytes()}
            names = sorted(file.name for file in path.iterdir()) if record is None else [e.path for e in record.files]
            files = [regular_file(path, name) for name in names]
            return {file.name: file.read_bytes() for file in files}
        except DatasetError as error:
            raise OptionError(f"artifact {path} cannot be read: {error}") from None
        except OSError as error:
            raise OptionError(f"artifact {path} cannot be read: {error.strerror}") from error

    @classmethod
    def parameters_in(cls, artifact: Artifact) -> Mapping[str, Any]:
        """Parameters that an artifact fixes, with their values; a user who also gives them must give the same.

        Raises ``CodecError`` naming the fault if the artifact cannot be used.
        """
        return {}

    @classmethod
    def choose_backends(cls, parameters: Any, artifact: Artifact, sample: Sequence[bytes]) -> dict[str, str]:
        """Decide what depends on the machine, once per artifact; recorded in the manifest and kept."""
        return {}

    @classmethod
    def versions(cls, backends: Mapping[str, str]) -> dict[str, str]:
        """Versions of the libraries that the symbols depend on. A resume with others is refused."""
        return {}


def codec_names() -> list[str]:
    """All that are installed, whether they can be loaded or not."""
    return sorted(set(metadata.entry_points(group=ENTRY_POINTS).names))


@cache
def codec_class(name: str) -> type[Codec]:
    """The class registered under ``name``. Raises ``OptionError`` with the list of known names, or what is wrong.

    Cached, because each look-up reads the metadata of all installed packages: about 10 ms.
    """
    points = metadata.entry_points(group=ENTRY_POINTS)
    found = {point.value: point for point in points if point.name == name}
    if not found:
        known = codec_names() or ["none (is pcdata installed?)"]
        raise OptionError(f"unknown compressor {name!r}; {meant(name, known)}")
    if len(found) > 1:
        raise OptionError(f"compressor {name!r} is registered twice, as {' and '.join(sorted(found))}; uninstall one")
    (value,) = found
    try:
        cls = found[value].load()
    except (ImportError, AttributeError) as error:
        raise OptionError(f"compressor {name!r} is registered as {value}, which cannot be loaded: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Codec)):
        raise OptionError(f"compressor {name!r} is registered as {value}, which is not a subclass of {Codec.__name__}")
    lacking = sorted(cls.__abstractmethods__ | ({"Parameters"} - {*dir(cls)}))
    if lacking:
        raise OptionError(f"compressor {name!r} is registered as {value}, which does not define {', '.join(lacking)}")
    return cls


def make_codec(name: str, parameters: Any, artifact: Artifact, backends: Mapping[str, str]) -> Codec:
    """An instance with all required attributes. Raises the errors of ``codec_class`` and of the codec itself."""
    codec = codec_class(name)(parameters, artifact, backends)
    lacking = [member for member in ("types", "units_independent") if not hasattr(codec, member)]
    if lacking:
        raise CodecError(f"compressor {name!r}: {type(codec).__name__} does not set {' and '.join(lacking)}")
    return codec


def columns_fault(types: ViewTypes, n_documents: int, columns: ViewColumns) -> str | None:
    """What in an encoded batch violates ``types``, if anything: integer types, maxima, offsets."""
    if len(columns) != n_documents:
        return f"{n_documents} documents were encoded as {len(columns)}"
    if (columns.unit_symbols is None) != (types.max_unit_symbols == 1):
        return f"unit_symbols must be None if, and only if, max_unit_symbols ({types.max_unit_symbols}) is 1"
    if columns.unit_symbols is not None and len(columns.unit_symbols) != len(columns.unit_bytes):
        return f"unit_symbols has {len(columns.unit_symbols)} values, unit_bytes {len(columns.unit_bytes)}"
    for name, values, dtype, least, most in (
        ("symbols", columns.symbols, types.symbol_dtype, 0, types.n_symbols - 1),
        ("unit_bytes", columns.unit_bytes, types.unit_bytes_dtype, 1, types.max_unit_bytes),
        ("unit_symbols", columns.unit_symbols, types.unit_symbols_dtype, 1, types.max_unit_symbols),
    ):
        if values is None:
            continue
        if values.dtype != dtype:
            return f"{name} is of {values.dtype}, where {dtype} holds the maximum of {most}"
        if len(values) and (values.min() < least or values.max() > most):
            return f"{name} has values {values.min()} … {values.max()}, promised are {least} … {most}"
    for name, offsets, end in (
        ("symbol_offsets", columns.symbol_offsets, len(columns.symbols)),
        ("unit_offsets", columns.unit_offsets, len(columns.unit_bytes)),
    ):
        if offsets.dtype != np.int64 or offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < 0).any():
            return f"{name} must be of int64, one more than documents, and rise from 0 to {end}"
    return None


def decode_fault(codec: Codec, columns: ViewColumns, row: int, raw: bytes, number: int) -> str | None:
    """What is wrong with one document's symbols, if anything.

    They are decoded whole, and again at one alignment point (of unit ``number`` modulo units): that unit by itself
    where units are independent, otherwise all units up to it. So a wrong offset is found even in a view that does not
    need it to decode the whole document.
    """
    points = columns.alignment_of(row)
    n_units = len(points.raw_ends)
    if (int(points.raw_ends[-1]) if n_units else 0) != len(raw):
        return "its units do not end where raw does"  # checked before anything is allocated by them
    last = number % max(n_units, 1)
    first = last if codec.units_independent else 0
    try:
        if decode_units(codec, columns, row, points, 0, n_units) != raw:
            return "the symbols decode to other bytes than raw"
        if not n_units:
            return None
        some = decode_units(codec, columns, row, points, first, last + 1)
    except CodecError as error:
        return f"the symbols do not decode ({error})"
    if some != raw[points.raw_ends[first - 1] if first else 0 : points.raw_ends[last]]:
        return f"unit {last} does not encode the bytes at its alignment points"
    return None


def decode_units(codec: Codec, columns: ViewColumns, row: int, points: Alignment, first: int, end: int) -> bytes:
    """Units ``first`` … ``end`` - 1 of a document by themselves; ``points`` are its alignment points."""
    symbol_start = points.symbol_ends[first - 1] if first else 0
    symbol_end = points.symbol_ends[end - 1] if end else 0
    symbols, unit_bytes, unit_symbols = columns.of_document(row)
    lengths = None if unit_symbols is None else unit_symbols[first:end]
    return codec.decode(symbols[symbol_start:symbol_end], unit_bytes[first:end], lengths)


def fixed_units(documents: Sequence[bytes], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Raw bytes of each unit, where all but a document's last have ``size`` of them; and the documents' offsets."""
    lengths = np.fromiter(map(len, documents), np.int64, len(documents))
    offsets = offsets_of(-(-lengths // size))
    unit_bytes = np.full(offsets[-1], size)
    some = lengths > 0
    unit_bytes[offsets[1:][some] - 1] = (lengths[some] - 1) % size + 1
    return unit_bytes, offsets


def byte_columns(
    types: ViewTypes, units: Sequence[Any], unit_bytes: NDArray[np.int64], unit_offsets: NDArray[np.int64]
) -> ViewColumns:
    """The columns of a view whose symbols are bytes; ``units`` are buffers."""
    unit_symbols = np.fromiter(map(len, units), np.int64, len(units))
    return ViewColumns(
        np.frombuffer(b"".join(units), np.uint8),
        offsets_of(unit_symbols)[unit_offsets],
        unit_bytes.astype(types.unit_bytes_dtype),
        unit_symbols.astype(types.unit_symbols_dtype),
        unit_offsets.astype(np.int64),
    )


def beginning(sample: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """The first documents of a sample, ``most_bytes`` together; the last may be cut."""
    left = most_bytes
    for document in sample:
        yield document[:left]
        left -= min(left, len(document))
        if not left:
            break


def check_units(
    codec: str, types: ViewTypes, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None
) -> Unsigned:
    """For ``decode`` where units have several symbols: their lengths, checked.

    Raises ``CodecError`` before anything is allocated by lengths that ``encode`` cannot have made, and for unknown
    symbols.
    """
    if unit_symbols is None or len(unit_symbols) != len(unit_bytes):
        raise CodecError(f"{codec}: unit_symbols and unit_bytes differ in length")
    if int(unit_symbols.sum(dtype=np.int64)) != len(symbols):
        raise CodecError(f"{codec}: the units' lengths do not add up to {len(symbols)} symbols")
    if int(unit_bytes.max(initial=0)) > types.max_unit_bytes:
        raise CodecError(f"{codec}: a unit of {int(unit_bytes.max())} bytes, the most is {types.max_unit_bytes}")
    if len(unit_bytes) and not (unit_bytes.all() and unit_symbols.all()):
        raise CodecError(f"{codec}: a unit of no bytes, or of no symbols")
    if int(symbols.max(initial=0)) >= types.n_symbols:
        raise CodecError(f"{codec}: symbol {int(symbols.max())} is not one of {types.n_symbols}")
    return unit_symbols


@contextmanager
def naming(view: FittedView) -> Iterator[None]:
    """Add the names of view and artifact to a codec error."""
    files = ", ".join(entry.path for entry in view.artifact)
    try:
        yield
    except (CodecError, OptionError) as error:
        raise CodecError(f"view {view.name}{f' ({files})' if files else ''}: {error}") from None


def open_codec(view: FittedView, folder: Path) -> Codec:
    """The codec of a view as it was when the view was written: parameters, artifact and backends from the manifest.

    Raises ``DatasetError`` if an artifact file is not the one the manifest lists, and ``CodecError`` if the codec
    cannot be used with what the manifest says.
    """
    artifact = {Path(entry.path).name: require_sound(folder, entry).read_bytes() for entry in view.artifact}
    with naming(view):
        parameters = parse_recorded(view.codec, view.parameters)
        try:
            return make_codec(view.codec, parameters, artifact, view.backends)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # a codec may, on an untrusted artifact
            raise CodecError(f"codec {view.codec} cannot use its artifact: {error!r}; restore it or rebuild") from error


def parse_recorded(codec: str, values: Mapping[str, Any]) -> Any:
    """A codec's ``Parameters`` from their recorded values. Raises ``OptionError``."""
    cls = codec_class(codec)
    hints = typing.get_type_hints(cls.Parameters)
    for name, value in values.items():
        if name not in hints:
            raise OptionError(f"this pcdata's codec {codec} has no option {name!r:.100}; use the one that built it")
        if type(value) is not hints[name]:
            raise OptionError(f"{name} must be of type {hints[name].__name__}, got {value!r:.100}")
    return cls.Parameters(**values)
