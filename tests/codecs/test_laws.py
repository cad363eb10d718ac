"""Every law is seen to be broken: a codec that is right but for one defect, and the sentence it gets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pcdata.codecs.base import Artifact, Codec, check_units, offsets_of
from pcdata.codecs.laws import HOSTILE, INCOMPRESSIBLE, check_fit, check_laws, check_refusals
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.schema import ViewTypes
from pcdata.errors import CodecError

MOST = 4
DOCUMENTS = (*HOSTILE.values(), b"some more\0")


@dataclass(frozen=True)
class PlainParameters:
    defect: str = ""


class Plain(Codec):
    """Symbols are the bytes; a unit is four of them, the last of a document shorter. Fitted to nothing, for show."""

    Parameters: ClassVar[type[Any]] = PlainParameters
    units_independent = True
    numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self, parameters: PlainParameters, artifact: Artifact, backends: Mapping[str, str]) -> None:
        self.defect = parameters.defect
        self.types = ViewTypes(256, MOST, 2 if self.defect == "maximum" else MOST)

    @classmethod
    def is_fitted(cls, parameters: PlainParameters) -> bool:
        return parameters.defect.startswith("fit")

    @classmethod
    def fit(cls, parameters: PlainParameters, sample: Sequence[bytes]) -> Artifact:
        name = "a/b" if parameters.defect == "fit: name" else "a"
        return {name: b"%d" % (next(cls.numbers) if parameters.defect == "fit: other bytes" else 0)}

    @classmethod
    def read_artifact(cls, path: Path) -> Artifact:
        return {name: data.strip(b"0") for name, data in super().read_artifact(path).items()}

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        if self.defect == "among others" and len(documents) > 1:
            documents = [document[::-1] for document in documents]
        sizes = [[min(MOST, len(raw) - at) for at in range(0, len(raw), MOST)] for raw in documents]
        units = np.array([size for of_one in sizes for size in of_one], np.uint8)
        dtype = np.uint16 if self.defect == "dtype" else np.uint8
        columns = ViewColumns(
            np.frombuffer(b"".join(documents), np.uint8).astype(dtype),
            offsets_of([len(raw) for raw in documents]),
            units,
            units,
            offsets_of([len(of_one) for of_one in sizes]),
        )
        match self.defect:
            case "documents":
                return self.encode([*documents, b""]) if len(documents) < 30 else columns
            case "unit_symbols":
                return replace(columns, unit_symbols=None)
            case "offsets":
                return replace(columns, unit_offsets=columns.unit_offsets + 1)
            case "symbols" if len(units):
                return replace(columns, unit_symbols=np.maximum(units, 2) - np.uint8(1))
            case "bytes" if len(units):
                return replace(columns, unit_bytes=np.maximum(units, 2) - np.uint8(1))
        return columns

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        if self.defect == "refusal":
            return symbols.astype(np.uint8).tobytes()
        check_units("plain", self.types, symbols, unit_bytes, unit_symbols)
        if self.defect == "exception" and (unit_bytes != unit_symbols).any():
            raise ValueError
        if (unit_bytes != unit_symbols).any():
            raise CodecError("plain: a unit has as many symbols as bytes")
        raw = symbols.astype(np.uint8).tobytes()
        if self.defect == "loss":
            return raw.rstrip(b"\0")
        if self.defect == "dependent" and len(unit_bytes) == 1:
            return b"?" * len(raw)
        return raw

    def faults(self, documents: Any, columns: Any, rows: Any) -> Any:
        return [(2, "something")] if self.defect == "faults" else super().faults(documents, columns, rows)


def test_a_codec_without_defects_keeps_them_all() -> None:
    tested = check_fit(Plain, PlainParameters(), [])
    assert check_laws(tested, DOCUMENTS) > 150
    assert check_laws(tested, DOCUMENTS[-1:], most_points=2) == 2
    assert check_laws(tested, [b"", b""]) == 0
    check_laws(tested, INCOMPRESSIBLE, most_points=1)
    check_refusals(tested, DOCUMENTS[-1])


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("loss", "document 3: its first 1 units decode to other bytes"),
        ("dependent", "document 1: its first 1 units decode to other bytes"),
        ("among others", "document 5: its first .* units decode to other bytes"),
        ("faults", r"document 2: faults\(\) complains of what encode\(\) made: something"),
        ("documents", "26 documents were encoded as 30"),
        ("unit_symbols", r"unit_symbols must be None if, and only if, max_unit_symbols \(4\) is 1"),
        ("maximum", "unit_symbols has values 1 … 4, promised are 1 … 2"),
        ("dtype", "symbols is of uint16, where uint8 holds the maximum of 255"),
        ("offsets", "unit_offsets must be of int64, one more than documents, and rise from 0"),
        ("symbols", "document 5: its units have .* symbols, it has 256"),
        ("bytes", "document 5: its units stand for .* bytes, it has 256"),
    ],
)
def test_a_defect_is_found(defect: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_laws(check_fit(Plain, PlainParameters(defect), []), DOCUMENTS)


def test_units_that_are_not_independent_are_found() -> None:
    """Prefixes decode, and one unit in the middle does not."""

    class Chained(Plain):
        def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
            raw = super().decode(symbols, unit_bytes, unit_symbols)
            return raw if raw.startswith(b"some") else b"?" * len(raw)

    tested = check_fit(Chained, PlainParameters(), [])
    with pytest.raises(AssertionError, match="document 0: unit 1 by itself decodes to other bytes"):
        check_laws(tested, [b"some more"])
    tested.units_independent = False
    check_laws(tested, [b"some more"])


def test_encoding_otherwise_among_others_is_found() -> None:
    class Sharing(Plain):
        def encode(self, documents: Sequence[bytes]) -> ViewColumns:
            columns = super().encode(documents)
            ones = np.ones(len(columns.symbols), np.uint8)
            return (
                columns
                if len(documents) > 1
                else ViewColumns(columns.symbols, columns.symbol_offsets, ones, ones, columns.symbol_offsets)
            )

    with pytest.raises(AssertionError, match="document 0: encoded by itself it has other symbols or units"):
        check_laws(check_fit(Sharing, PlainParameters(), []), [b"ab", b"c"])


def test_symbols_of_nothing_are_found() -> None:
    class Ending(Plain):
        def encode(self, documents: Sequence[bytes]) -> ViewColumns:
            return super().encode([document or b"\0" for document in documents])

    with pytest.raises(AssertionError, match="document 0: its units stand for 1 bytes, it has 0"):
        check_laws(check_fit(Ending, PlainParameters(), []), [b"x"])


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("fit: other bytes", "fitting again on the same sample gave other bytes"),
        ("fit: name", "'a/b' cannot name a file of an artifact"),
        ("fit: read", "read_artifact: what fit made is read otherwise"),
    ],
)
def test_a_defect_of_fitting_is_found(defect: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_fit(Plain, PlainParameters(defect), [b"x"])


def test_parameters_that_are_no_options_are_found() -> None:
    @dataclass(frozen=True)
    class Share(PlainParameters):
        share: float = 0.5

    class Sharing(Plain):
        Parameters = Share

    with pytest.raises(AssertionError, match="share is of <class 'float'>, and only int, str and bool can be options"):
        check_fit(Sharing, Share(), [])


def test_decoding_anything_is_found() -> None:
    with pytest.raises(AssertionError, match="units of 4 GB each are not refused"):
        check_refusals(check_fit(Plain, PlainParameters("refusal"), []), b"some bytes")
    with pytest.raises(ValueError):  # noqa: PT011  (the codec's own, let through)
        check_refusals(check_fit(Plain, PlainParameters("exception"), []), b"some bytes")
