"""What is particular to zstd: the command line tool reads it, and its options and dictionary."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard

from pcdata.codecs.base import codec_class
from pcdata.codecs.requests import parse_request
from pcdata.codecs.zstd import DICTIONARY, ZstdCodec, ZstdParameters
from pcdata.errors import CodecError
from tests.codecs.examples import REQUESTS, codec, fitted
from tests.strategies import HOSTILE, library_files

MAGIC = bytes.fromhex("28b52ffd")


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd command is not installed")
@pytest.mark.parametrize("request_text", [text for text in REQUESTS if text.startswith("zstd")])
def test_the_zstd_command_reads_units_with_the_magic_in_front(request_text: str, tmp_path: Path) -> None:
    raws = [*library_files()[:4], HOSTILE["random"], HOSTILE["every byte"]]
    columns = codec(request_text).encode(raws)
    frames = b""
    for row in range(len(raws)):
        data = columns.symbols_of(row).tobytes()
        lengths = columns.unit_symbols_of(row)
        assert lengths is not None
        if not codec(request_text).units_independent:
            lengths = [len(data)]
        for length in lengths:
            frames += MAGIC + data[:length]
            data = data[length:]
    command = ["zstd", "-d", "-c", "-q"]
    dictionary = fitted(request_text).get(DICTIONARY)
    if dictionary:
        (tmp_path / DICTIONARY).write_bytes(dictionary)
        command += ["-D", str(tmp_path / DICTIONARY)]
    result = subprocess.run(command, input=frames, capture_output=True, check=True)
    assert result.stdout == b"".join(raws)


def test_the_dictionary_is_trained_and_pays() -> None:
    assert 1024 <= len(fitted("zstd")[DICTIONARY]) <= ZstdParameters().dictionary
    assert zstandard.ZstdCompressionDict(fitted("zstd")[DICTIONARY]).dict_id() != 0
    raws = library_files()[-5:]
    with_dictionary, without = codec("zstd").encode(raws), codec("zstd:dictionary=0").encode(raws)
    assert len(with_dictionary.symbols) < 0.9 * len(without.symbols)


@pytest.mark.parametrize("sample", [[], [b""], [b"a"], [b"abc" * 100] * 3, [b"x" * 100_000] * 20, [bytes(9)] * 500])
def test_a_sample_that_teaches_nothing_still_gives_a_codec(sample: list[bytes]) -> None:
    artifact = ZstdCodec.fit(ZstdParameters(), sample)
    tested = ZstdCodec(ZstdParameters(), artifact, {})
    columns = tested.encode([HOSTILE["CRLF"]])
    assert tested.decode(columns.symbols, columns.unit_bytes, columns.unit_symbols) == HOSTILE["CRLF"]


def test_an_artifact_that_does_not_fit_the_parameters_is_refused() -> None:
    with pytest.raises(CodecError, match=r"artifact files \[\], expected \['dictionary'\]"):
        ZstdCodec(ZstdParameters(), {}, {})
    with pytest.raises(CodecError, match="expected none"):
        ZstdCodec(ZstdParameters(dictionary=0), {DICTIONARY: b""}, {})
    with pytest.raises(CodecError, match="dictionary cannot be loaded"):
        ZstdCodec(ZstdParameters(), {DICTIONARY: bytes.fromhex("37a430ec") + bytes(300)}, {})


def test_a_dictionary_handed_in_may_have_any_file_name(tmp_path: Path) -> None:
    path = tmp_path / "my.dict"
    path.write_bytes(fitted("zstd")[DICTIONARY])
    cls = codec_class(parse_request("zstd").codec)
    assert cls.read_artifact(path) == fitted("zstd")
