"""The laws of ``Codec`` as checks for any codec; they need no test framework.

::

    codec = check_fit(YourCodec, YourParameters(), some_files)
    check_laws(codec, [*HOSTILE.values(), *INCOMPRESSIBLE, *some_files])
    check_refusals(codec, some_files[0])

A broken law is an ``AssertionError`` with a sentence that names the document by its number; other exceptions of the
codec propagate. One law needs two processes: ``fit`` and ``encode`` must give the same bytes in both. To check it,
build a dataset twice and compare the folders.
"""

from __future__ import annotations

import random
import tempfile
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.codecs.base import Artifact, Codec, columns_fault, decode_units
from pcdata.codecs.fitted import RECORD
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.errors import CodecError

MEGABYTE = 1_000_000

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"a",
    "one newline": b"\n",
    "one NUL": b"\0",
    "one invalid byte": b"\x80",
    "every byte": bytes(range(256)),
    "NULs": b"\0" * 3000,
    "trailing NUL": b"abc\0",
    "lone CR": b"one\rtwo\r\rthree\r" * 40,
    "CRLF": b"def f():\r\n    pass\r\n\r\n" * 60,
    "BOM": b"\xef\xbb\xbfimport os\n",
    "UTF-16": "import os\n".encode("utf-16"),
    "separators": "a\u2028b\u2029c\u0085d\x1ce\vf\f".encode() * 30,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈👍🏽 e\u0301 \U0010ffff".encode() * 20,
    "cut in a character": "é世👍".encode()[:-1],
    "encoded surrogate": b"x\xed\xa0\x80y\xed\xbf\xbf",
    "overlong": b"\xc0\xaf\xe0\x80\xaf\xf8\x88\x80\x80\x80",
    "Latin-1": "# déjà vu, naïveté, Größe\n".encode("latin-1") * 30,
    "special strings": b"<|endoftext|> <s> [UNK] </w> \xc4\xa0 ##x\n" * 20,
    "blank lines": b"\n" * 5000,
    "one long line": b"x = [" + b"1234567890, " * 3000 + b"]",
    "no newline at end": b"a\n" * 100 + b"b",
    "random": random.Random(1).randbytes(20_000),
    "random, 65,535 bytes": random.Random(2).randbytes(65_535),
    "a megabyte of one byte": b"x" * MEGABYTE,
}
"""Documents that often break codecs, by name."""

_NOISE = [random.Random(size).randbytes(size) for size in (63, 64, 65, 255, 256, 257, 65_536, 65_537, 300_000)]
INCOMPRESSIBLE: tuple[bytes, ...] = (
    *_NOISE,
    # Noise between runs leaves matchers and entropy coders in their worst state.
    b"".join(_NOISE[index % 3] + b"\0" * 70 * (index % 5) for index in range(300)),
)
"""Documents that grow when they are compressed: the most likely to exceed a maximum."""


def check_laws(codec: Codec, documents: Sequence[bytes], most_points: int = 12) -> int:
    """Encode the documents and check every law that one process can; returns how many alignment points were decoded.

    At most ``most_points`` per document, evenly spread and including the last: each costs a decoding up to there.
    """
    columns = codec.encode(documents)
    check_columns(codec, documents, columns)
    points = sum(_check_alignment(codec, columns, row, raw, most_points) for row, raw in enumerate(documents))
    for row, what in codec.faults(documents, columns, range(len(documents))):
        raise AssertionError(f"document {row}: faults() complains of what encode() made: {what}")
    check_alone(codec, documents, columns)
    for nothing in ([], [b""], [b"", b""]):
        columns = codec.encode(nothing)
        check_columns(codec, nothing, columns)
        _require(not len(columns.symbols) and not len(columns.unit_bytes), "an empty document has symbols or units")
    return points


def check_columns(codec: Codec, documents: Sequence[bytes], columns: ViewColumns) -> None:
    """Types, maxima and offsets are as promised, and each document's lengths add up."""
    fault = columns_fault(codec.types, len(documents), columns)
    _require(fault is None, fault)
    for row, raw in enumerate(documents):
        points, n_symbols = columns.alignment_of(row), len(columns.symbols_of(row))
        raw_end, symbol_end = (points.raw_ends[-1], points.symbol_ends[-1]) if len(points.raw_ends) else (0, 0)
        _require(raw_end == len(raw), f"document {row}: its units stand for {raw_end} bytes, it has {len(raw)}")
        _require(symbol_end == n_symbols, f"document {row}: its units have {symbol_end} symbols, it has {n_symbols}")


def check_alone(codec: Codec, documents: Sequence[bytes], columns: ViewColumns) -> None:
    """Each document, encoded by itself, has the same symbols and units as in ``columns``."""
    for row, raw in enumerate(documents):
        pairs = zip(codec.encode([raw]).of_document(0), columns.of_document(row), strict=True)
        same = all(a is b is None or np.array_equal(a, b) for a, b in pairs)  # type: ignore[arg-type]
        _require(same, f"document {row}: encoded by itself it has other symbols or units than among others")


def check_fit(cls: type[Codec], parameters: Any, sample: Sequence[bytes]) -> Codec:
    """Make an instance as a build does, fitted on ``sample`` if the codec is; check the laws of fitting and options."""
    for name, kind in typing.get_type_hints(cls.Parameters).items():
        _require(
            kind in (int, str, bool), f"Parameters: {name} is of {kind}, and only int, str and bool can be options"
        )
    artifact: Artifact = {}
    if cls.is_fitted(parameters):
        artifact = cls.fit(parameters, sample)
        _require(cls.fit(parameters, list(sample)) == artifact, "fitting again on the same sample gave other bytes")
        _check_artifact(cls, artifact)
        _opened(cls, parameters, cls.fit(parameters, [b""]), [b""])
    return _opened(cls, parameters, artifact, sample)


def check_refusals(codec: Codec, raw: bytes, times: int = 100) -> None:
    """Decoding a damaged encoding of ``raw`` gives bytes or ``CodecError``, nothing else."""
    columns = codec.encode([raw])
    symbols, unit_bytes, unit_symbols = columns.symbols, columns.unit_bytes, columns.unit_symbols
    too_long = np.full(len(unit_bytes), np.iinfo(np.uint32).max, np.uint32)
    other_kind = symbols if unit_symbols is None else None
    _require(_refuses(codec, symbols, too_long, unit_symbols), "units of 4 GB each are not refused")
    _require(_refuses(codec, symbols[:-1], unit_bytes, unit_symbols), "a missing last symbol is not noticed")
    _require(
        _refuses(codec, symbols, unit_bytes, other_kind), "unit_symbols where there are none, or none, is accepted"
    )
    refused = sum(_refuses(codec, *_damaged(columns, random.Random(seed)), unit_symbols) for seed in range(times))
    _require(refused > 0, f"of {times} damaged documents not one is refused")


def _check_alignment(codec: Codec, columns: ViewColumns, row: int, raw: bytes, most: int) -> int:
    """At up to ``most`` alignment points the symbols so far decode to the raw bytes so far."""
    points, where = columns.alignment_of(row), f"document {row}"
    n_units = len(points.raw_ends)
    if not n_units:
        nothing = decode_units(codec, columns, row, points, 0, 0)
        _require(nothing == b"", f"{where}: nothing decodes to something")
        return 0
    chosen = sorted({round(unit) for unit in np.linspace(n_units, 1, most)})
    for end in chosen:
        so_far = decode_units(codec, columns, row, points, 0, end)
        raw_end = points.raw_ends[end - 1]
        _require(so_far == raw[:raw_end], f"{where}: its first {end} units decode to other bytes")
        if codec.units_independent:
            unit = decode_units(codec, columns, row, points, end - 1, end)
            start = points.raw_ends[end - 2] if end > 1 else 0
            _require(unit == raw[start:raw_end], f"{where}: unit {end - 1} by itself decodes to other bytes")
    return len(chosen)


def _check_artifact(cls: type[Codec], artifact: Artifact) -> None:
    for name in artifact:
        plain = name and Path(name).name == name and name not in ("..", RECORD)
        _require(plain, f"fit: {name!r} cannot name a file of an artifact")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in artifact.items():
            Path(folder, name).write_bytes(data)
        _require(cls.read_artifact(Path(folder)) == artifact, "read_artifact: what fit made is read otherwise")
    unknown = cls.parameters_in(artifact).keys() - typing.get_type_hints(cls.Parameters).keys()
    _require(not unknown, f"parameters_in: {sorted(unknown)} are no parameters")


def _opened(cls: type[Codec], parameters: Any, artifact: Artifact, sample: Sequence[bytes]) -> Codec:
    return cls(parameters, artifact, cls.choose_backends(parameters, artifact, sample))


def _damaged(columns: ViewColumns, draw: random.Random) -> tuple[Unsigned, Unsigned]:
    """Symbols and unit_bytes with up to 3 symbols replaced, and half of the time a unit that is too long."""
    symbols, unit_bytes = columns.symbols.copy(), columns.unit_bytes.copy()
    for _ in range(draw.randint(0, 3)):
        symbols[draw.randrange(len(symbols))] = draw.randint(0, int(np.iinfo(symbols.dtype).max))
    if draw.random() < 0.5:
        unit_bytes[draw.randrange(len(unit_bytes))] += 1
    return symbols, unit_bytes


def _refuses(codec: Codec, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bool:
    try:
        codec.decode(symbols, unit_bytes, unit_symbols)
    except CodecError:
        return True
    return False


def _require(holds: Any, sentence: str | None) -> None:
    if not holds:
        raise AssertionError(sentence)
