"""What a person types after ``--compressor``: every mistake gets one sentence that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from pcdata.codecs.base import ENTRY_POINTS, Artifact, Codec, codec_class, make_codec
from pcdata.codecs.bits import NoParameters
from pcdata.codecs.requests import parse_request, parse_requests
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.errors import CodecError, OptionError
from tests.codecs.examples import REQUESTS, codec


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("zstd:level=0", "level must be 1 … 19, got 0"),
        ("zstd:level=20", "level must be 1 … 19, got 20"),
        ("zstd:level=high", "level must be a whole number, got 'high'"),
        ("zstd:unit=frame", "unit must be one of chunk, block, got 'frame'"),
        ("zstd:size=10", "size must be 64 … 65536, got 10"),
        ("zstd:dictionary=5", "dictionary must be 0 or at least 1024, got 5"),
        ("zstd:dictionary=9999999", "got 9999999"),
        ("zstd:window=5", "unknown option 'window'; known: level, unit, size, dictionary, name"),
        ("gzip:backend=isal", "backend must be one of zlib, zlib-ng, got 'isal'"),
        ("token-bytes:vocab_size=65537", "vocab_size must be 256 … 65536, got 65537"),
        ("token-bytes:code=grey", "code must be one of plain, gray, got 'grey'"),
        ("bit:bits=2", "unknown option 'bits'; known: name, ids, artifact"),
        ("halfbyte:ids=raw", "the symbols of halfbyte are not bytes"),
        ("gzip:level=0", "level must be 1 … 9, got 0"),
        ("gzip:size=0", "size must be 64 … 65536, got 0"),
        ("bpe:vocab_size=255", "--compressor bpe:vocab_size=255: vocab_size must be 256 … 1048576, got 255"),
        ("bpe:vocab_size=1.5", "vocab_size must be a whole number, got '1.5'"),
        ("lzma", "unknown compressor 'lzma'; known: "),
        ("bpe,zstd:level=3", "names several compressors; repeat --compressor, once for each"),
        ("zstd:level", "'level' is not a single option=value"),
        ("zstd:level=3,level=4", "'level=4' is not a single option=value"),
        ("zstd:name=raw", "'raw' cannot name a view"),
    ],
)
def test_a_mistake_gets_one_sentence(text: str, shown: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_request(text)
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_views_of_one_name_are_refused() -> None:
    with pytest.raises(OptionError, match="two views are named 'zstd'"):
        parse_requests(["zstd", "zstd:level=9"])
    assert [request.name for request in parse_requests(["zstd", "zstd:level=9,name=z9"])] == ["zstd", "z9"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("json:loads", "'mine' is registered as json:loads, which is not a subclass of Codec"),
        ("json:Codec", "'mine' is registered as json:Codec, which cannot be loaded: module 'json' has no attribute"),
        ("no_such_module:Codec", "cannot be loaded: No module named 'no_such_module'"),
        (None, "'mine' is registered twice, as a:A and b:B; uninstall one"),
    ],
)
def test_a_package_that_is_broken_gets_one_sentence(
    monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    values = ["b:B", "a:A"] if value is None else [value]
    points = EntryPoints(EntryPoint("mine", value, ENTRY_POINTS) for value in values)
    monkeypatch.setattr(metadata, "entry_points", lambda group: points.select(group=group))
    with pytest.raises(OptionError) as caught:
        parse_request("mine")
    assert said in str(caught.value)


class WithoutDecode(Codec):
    def __init__(self, parameters: Any, artifact: Artifact, backends: Mapping[str, str]) -> None:
        pass

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        raise NotImplementedError


class Unfinished(WithoutDecode):
    """Lacks what ``__init__`` should have set."""

    Parameters = NoParameters

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        raise NotImplementedError


def test_a_codec_that_is_unfinished_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint(name, f"{__name__}:{name}", ENTRY_POINTS) for name in ("Unfinished", "WithoutDecode")
    )
    monkeypatch.setattr(metadata, "entry_points", lambda group: points.select(group=group))
    with pytest.raises(CodecError, match=r"'Unfinished': Unfinished does not set types and units_independent$"):
        make_codec("Unfinished", None, {}, {})
    with pytest.raises(OptionError, match=r":WithoutDecode, which does not define Parameters, decode$"):
        codec_class("WithoutDecode")


@pytest.mark.parametrize("text", [text for text in REQUESTS if " " not in text])
def test_versions_name_the_library(text: str) -> None:
    parsed = parse_request(text)
    cls = codec_class(parsed.codec)
    backends = {"engine": "tokenizers"} if parsed.codec in ("bpe", "token-bytes") else None
    versions = cls.versions(cls.choose_backends(parsed.parameters, {}, []) if backends is None else backends)
    assert bool(versions) == (parsed.codec in ("bpe", "token-bytes", "zstd", "gzip"))
    assert all(version[0].isdigit() for version in versions.values())


def test_gzip_takes_no_artifact() -> None:
    parsed = parse_request("gzip")
    with pytest.raises(CodecError, match="gzip takes no artifact"):
        codec_class("gzip")(parsed.parameters, {"x": b""}, {})


def test_types_are_small_where_the_maxima_are() -> None:
    assert codec("bpe:vocab_size=700").types.symbol_dtype == "uint16"
    assert codec("bpe:vocab_size=256").types.symbol_dtype == "uint8"
    assert codec("zstd").types.unit_symbols_dtype == "uint16"
    assert codec("zstd:unit=block,size=65536,level=1").types.unit_symbols_dtype == "uint32"
