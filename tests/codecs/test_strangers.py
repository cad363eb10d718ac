"""What a manifest says of a view is checked as what a person types, and lengths before anything is made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from pcdata.codecs.base import Codec, open_codec
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.manifest import FileEntry
from pcdata.errors import CodecError, DatasetError
from tests.codecs.examples import codec, fitted


@dataclass
class Stored:
    """A view, as a manifest has it."""

    codec: str
    parameters: dict[str, Any]
    name: str = "mine"
    backends: dict[str, str] = field(default_factory=dict)
    artifact: tuple[FileEntry, ...] = ()


@pytest.mark.parametrize(
    ("codec_name", "parameters", "says"),
    [
        ("gzip", {"size": "192"}, "size must be of type int, got '192'"),
        ("gzip", {"size": 192.0}, "size must be of type int, got 192.0"),
        ("gzip", {"size": True}, "size must be of type int, got True"),
        ("gzip", {"size": None}, "size must be of type int, got None"),
        ("gzip", {"size": 0}, "size must be 64 … 65536, got 0"),
        ("gzip", {"size": -1}, "size must be 64 … 65536, got -1"),
        ("gzip", {"size": 1 << 62}, "size must be 64 … 65536, got 4611686018427387904"),
        ("gzip", {"backend": ["zlib"]}, r"backend must be of type str, got \['zlib'\]"),
        ("gzip", {"colour": 1}, "this pcdata's codec gzip has no option 'colour'; use the one that built it"),
        ("zstd", {"unit": "block", "dictionary": 5}, "dictionary must be 0 or at least 1024, got 5"),
        ("ngram", {"window_bits": 64}, "window_bits must be one of 16, 24, 32, got 64"),
        ("ngram", {"literals": 1}, "literals must be of type bool, got 1"),
        ("bpe", {"vocab_size": 1 << 40}, "vocab_size must be 256 … 1048576"),
        ("none-such", {}, "unknown compressor 'none-such'"),
        ("zstd", {}, "zstd with dictionary=114688 was given the artifact files"),
    ],
)
def test_parameters_are_checked_as_those_of_a_command_line(
    codec_name: str, parameters: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(CodecError, match=f"^view mine: {says}"):
        open_codec(Stored(codec_name, parameters), tmp_path)


def test_an_artifact_is_named_with_its_view(tmp_path: Path) -> None:
    path = "views/mine/artifact/tokenizer.json"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"{}")
    entry = FileEntry(path, 2, hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(CodecError, match=rf"^view mine \({path}\): tokenizer\.json: pre_tokenizer"):
        open_codec(Stored("bpe", {}, artifact=(entry,)), tmp_path)
    (tmp_path / path).write_bytes(b"{ }")
    with pytest.raises(DatasetError, match=r"tokenizer\.json has 3 bytes, the manifest says 2"):
        open_codec(Stored("bpe", {}, artifact=(entry,)), tmp_path)


def test_a_codec_that_stumbles_over_an_artifact_is_a_sentence(tmp_path: Path) -> None:
    for error in (TypeError("x"), ValueError("x"), OverflowError("x"), KeyError("x")):
        with (
            mock.patch("pcdata.codecs.gzip.GzipCodec.__init__", side_effect=error),
            pytest.raises(CodecError, match=r"^view mine: codec gzip cannot use its artifact: \w+Error\('x'\); "),
        ):
            open_codec(Stored("gzip", {}), tmp_path)


@pytest.mark.parametrize("request_text", ["zstd", "gzip", "halfbyte", "token-bytes:vocab_size=700", "ngram", "entropy"])
def test_units_that_do_not_end_where_raw_does_are_not_decoded(request_text: str) -> None:
    """A codec's answer may be as long as they say: 20 GB of a chunk of 20 bytes, a thousand times."""
    tested = codec(request_text)
    columns = tested.encode([b"x" * 1000])
    longer = np.full(len(columns.unit_bytes), tested.types.max_unit_bytes, columns.unit_bytes.dtype)
    if tested.types.max_unit_bytes == 1:
        longer = np.full(len(longer), 2, longer.dtype)
    lying = ViewColumns(columns.symbols, columns.symbol_offsets, longer, columns.unit_symbols, columns.unit_offsets)
    with mock.patch.object(tested, "decode", side_effect=AssertionError):
        ((row, what),) = Codec.faults(tested, [b"x" * 1000], lying, [0])
    assert (row, what) == (0, "its units do not end where raw does")


@pytest.mark.parametrize("request_text", ["zstd:dictionary=0", "gzip", "bit", "token-bytes:vocab_size=700"])
def test_units_of_nothing_and_symbols_that_there_are_not_are_refused(request_text: str) -> None:
    tested = codec(request_text)
    columns = tested.encode([b"some bytes\n" * 40])
    assert columns.unit_symbols is not None
    for zeroed in ("unit_bytes", "unit_symbols"):
        arrays = {"unit_bytes": np.append(columns.unit_bytes, 1), "unit_symbols": np.append(columns.unit_symbols, 1)}
        arrays[zeroed][-1] = 0
        symbols = np.append(columns.symbols, [0] * int(arrays["unit_symbols"][-1])).astype(np.uint8)
        with pytest.raises(CodecError, match="a unit of no bytes, or of no symbols"):
            tested.decode(symbols, arrays["unit_bytes"], arrays["unit_symbols"])
    wide = columns.symbols.astype(np.uint16)
    wide[0] += 256
    with pytest.raises(CodecError, match=f"is not one of {tested.types.n_symbols}"):
        tested.decode(wide, columns.unit_bytes, columns.unit_symbols)


def test_a_model_has_no_more_contexts_than_were_asked_for(tmp_path: Path) -> None:
    """Each takes a kB where the file has four bytes for it."""
    artifact = fitted("ngram:segment=16,order=3,contexts=500")
    entries = []
    for name, data in artifact.items():
        if name == "contexts.uint32":
            data = np.arange(1 << 16, dtype="<u4").tobytes()
        path = f"views/mine/artifact/{name}"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
        entries.append(FileEntry(path, len(data), hashlib.sha256(data).hexdigest()))
    stored = Stored("ngram", {"segment": 16, "order": 3, "contexts": 500}, artifact=tuple(entries))
    with pytest.raises(CodecError, match=r"contexts\.uint32 has 65537 contexts, the most are 500"):
        open_codec(stored, tmp_path)
