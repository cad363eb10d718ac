"""The laws of codecs for ``neural``, its artifact, and what is said where it cannot be used."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from hypothesis import given
from torch import Tensor

from pcdata.codecs.laws import HOSTILE, check_alone, check_columns, check_laws, check_refusals
from pcdata.codecs.requests import parse_request
from pcdata.errors import CodecError, OptionError
from pctrain.neural.artifact import NUMBERS, SHAPE, WEIGHTS
from pctrain.neural.codec import NeuralCodec, NeuralParameters
from tests.neural.opened import artifact_of, opened
from tests.strategies import documents, library_files

OPTIONS = ["", ",segment=16,literals=true", ",window_bits=24,reset=window", ",window_bits=32,symbol_bits=8,segment=32"]
_SHORT = [raw for raw in HOSTILE.values() if len(raw) <= 1200]
_LONG = [raw[:40_000] for raw in HOSTILE.values() if len(raw) > 1200]


@pytest.mark.parametrize("options", OPTIONS)
def test_laws_on_short_hostile_documents(coder: Path, options: str) -> None:
    codec = opened(coder, options)
    assert len(_SHORT) > 12
    assert check_laws(codec, [*_SHORT, library_files()[0][:1500]], most_points=4) > 40
    check_refusals(codec, b"def f(x):\n    return x\n" * 4, times=20)


def test_long_hostile_documents_are_encoded_as_they_are_checked(coder: Path) -> None:
    """Decoding them byte by byte is for test-deep."""
    codec = opened(coder)
    columns = codec.encode(_LONG)
    check_columns(codec, _LONG, columns)
    check_alone(codec, _LONG, columns)
    assert list(codec.faults(_LONG, columns, range(len(_LONG)))) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_hostile_documents_decode_byte_by_byte(coder: Path) -> None:
    codec = opened(coder)
    files = [file[:600] for file in library_files()] + [bytes(library_files()[0][n * 300 :][:300]) for n in range(60)]
    raws = [*HOSTILE.values(), *files]
    assert len(raws) > 100
    columns = codec.encode(raws)
    for row, raw in enumerate(raws):
        assert codec.decode(columns.symbols_of(row), columns.unit_bytes_of(row), None) == raw


@given(raw=documents())
def test_any_document_comes_back(coder: Path, raw: bytes) -> None:
    codec = opened(coder)
    columns = codec.encode([raw[:300]])
    assert codec.decode(columns.symbols, columns.unit_bytes, None) == raw[:300]


def test_a_planted_error_is_found_without_decoding(coder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = opened(coder)
    raws = [file[:2000] for file in library_files()[:6]]
    columns = codec.encode(raws)
    monkeypatch.setattr(codec, "decode", None)
    for row in range(len(raws)):
        place = int(columns.symbol_offsets[row]) + 5
        columns.symbols[place] ^= 1
        assert [found for found, _ in codec.faults(raws, columns, range(len(raws)))] == [row]
        columns.symbols[place] ^= 1
    assert list(codec.faults(raws, columns, range(len(raws)))) == []


def test_segments_have_about_the_mean_length_that_was_asked_for(coder: Path) -> None:
    raws = list(library_files())[:4]
    for mean in (8, 16):
        figures = opened(coder, f",segment={mean}").figures(raws)["bytes per segment"]
        assert mean * 0.6 < figures.over / figures.under < mean * 1.6


def test_where_segments_begin_does_not_hang_on_what_came_long_before(coder: Path) -> None:
    codec = opened(coder)
    raw = library_files()[0][:3000]
    other = b"# another beginning\n" + raw
    ends, others = (np.cumsum(codec.encode([each]).unit_bytes) for each in (raw, other))
    shared = np.intersect1d(ends, others - (len(other) - len(raw)))
    assert len(shared[shared > 200]) == len(ends[ends > 200])


def test_an_artifact_with_another_canary_is_refused(coder: Path) -> None:
    artifact = artifact_of(coder)
    numbers = json.loads(artifact[NUMBERS])
    changed = json.dumps({**numbers, "canary": "0" * 32}).encode()
    with pytest.raises(CodecError, match=f"have the hash {numbers['canary']} here, and 0000"):
        NeuralCodec(NeuralParameters(), {**artifact, NUMBERS: changed}, {})
    weights = bytearray(artifact[WEIGHTS])
    weights[-3] ^= 64
    with pytest.raises(CodecError, match=r"counts on the canary text|not finite"):
        NeuralCodec(NeuralParameters(), {**artifact, WEIGHTS: bytes(weights)}, {})


def header(tensors: dict[str, Any]) -> bytes:
    """A safetensors file of 64 zeros."""
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text + bytes(64 if tensors["a"]["shape"][0] else 0)


@pytest.mark.parametrize("name", ["embed.weight", "layers.1.attention.near", "layers.0.feed.down.weight"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weight: weight.fill_(math.inf), "has weights that are not finite"),
        (lambda weight: weight.fill_(math.nan), "has weights that are not finite"),
        (lambda weight: weight.fill_(3e38), "counts on the canary text"),
        (lambda weight: weight.half(), "holds another model than config.json describes"),
        (lambda weight: weight[..., None], "holds another model than config.json describes"),
    ],
)
def test_weights_of_a_stranger_are_refused(
    coder: Path, name: str, change: Callable[[Tensor], Tensor], says: str
) -> None:
    artifact = artifact_of(coder)
    weights = safetensors.torch.load(artifact[WEIGHTS])
    weights[name] = change(weights[name]).contiguous()
    with pytest.raises(CodecError, match=says):
        NeuralCodec(NeuralParameters(), {**artifact, WEIGHTS: safetensors.torch.save(weights)}, {})


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        (NUMBERS, b"{", "neural.json is not JSON"),
        (NUMBERS, b"[]", "neural.json must hold an object"),
        (NUMBERS, b'{"counts": "other"}', "neural.json is of another version than whole-1"),
        (NUMBERS, b'{"counts": "whole-1", "canary": "", "thresholds": [1]}', "must have a canary, and 63 thresholds"),
        (SHAPE, b'{"width": 7}', "the artifact's model cannot be used: model.width must be an even multiple"),
        (SHAPE, b'{"depth": 7}', "the artifact's model cannot be used: .*depth"),
        (SHAPE, b'{"reach": 4}', "model.safetensors holds another model than config.json describes"),
        (SHAPE, b'{"layers": 4000, "reach": 1}', "model.safetensors holds another model than config.json"),
        (SHAPE, b'{"layers": 4000}', "model.reach must be 1 … 1 in a codec of 4000 layers"),
        (SHAPE, b'{"layers": 10000000}', "at least 1 and at most 4,096, got 10000000"),
        (SHAPE, b'{"width": 1000000, "reach": 2}', "model.width must be at most 2048 in a codec, got 1000000"),
        (SHAPE, b'{"width": 1000000000, "reach": 2}', "at least 1 and at most 1,048,576, got 1000000000"),
        (SHAPE, b'{"hidden": 1000000, "reach": 2}', "model.hidden must be at most 2048 in a codec"),
        (SHAPE, b'{"reach": 1000000}', "model.reach must be 1 … 22 in a codec of 6 layers"),
        (SHAPE, b'{"reach": 2.0}', "model.reach must be a whole number, got 2.0"),
        (SHAPE, b'{"width": "32"}', "model.width must be a whole number, got '32'"),
        (SHAPE, b'{"norm_eps": NaN}', "model.norm_eps must be above 0"),
        (SHAPE, b'{"a":' * 10_000, "config.json is not JSON: it is nested too deeply"),
        (NUMBERS, b"[" * 10_000, "neural.json is not JSON: it is nested too deeply"),
        (WEIGHTS, b"nothing", "the artifact's model cannot be used"),
        (WEIGHTS, header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}), "cannot be used"),
        (WEIGHTS, header({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}), "holds another model than"),
        (WEIGHTS, (1 << 62).to_bytes(8, "little"), "cannot be used: Error while deserializing"),
    ],
)
def test_an_artifact_that_cannot_be_is_refused(coder: Path, name: str, data: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        NeuralCodec(NeuralParameters(), {**artifact_of(coder), name: data}, {})


def test_files_that_are_missing_are_named(coder: Path) -> None:
    with pytest.raises(CodecError, match=r"neural needs the artifact files model\.safetensors, config\.json and"):
        NeuralCodec(NeuralParameters(), {SHAPE: b"{}"}, {})


def test_a_build_cannot_fit_it() -> None:
    assert NeuralCodec.is_fitted(NeuralParameters())
    with pytest.raises(OptionError, match="pctrain neural fit shards/ -o coder/"):
        NeuralCodec.fit(NeuralParameters(), [b"abc"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("neural:segment=1", "segment must be 2 … 64, got 1"),
        ("neural:reset=never", "reset must be one of segment, window, got 'never'"),
        ("neural:ids=raw", "the symbols of neural are not bytes"),
    ],
)
def test_an_option_that_cannot_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_request(text)


def test_without_torch_there_is_one_sentence_and_only_for_neural() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pcdata.codecs.base import codec_class\n"
        "from pcdata.errors import OptionError\n"
        "codec_class('ngram')\n"
        "try:\n    codec_class('neural')\n"
        "except OptionError as error:\n    print(error)\n"
        "assert not any(name.startswith('torch.') for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "neural" in done.stdout
    assert 'it needs torch; pip install "proxy-compression[train]"' in done.stdout


def test_importing_pctrain_imports_no_torch() -> None:
    program = "import sys, pctrain, pctrain.cli; print('torch' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
