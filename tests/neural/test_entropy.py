"""``neural-entropy``: the laws of codecs, the artifact of ``neural``, and the same segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcdata.codecs.byte_model import BIT
from pcdata.codecs.laws import HOSTILE, check_laws, check_refusals
from pcdata.codecs.requests import parse_request
from pcdata.codecs.segments import document_entropies, segment_starts
from pcdata.errors import CodecError, OptionError
from pctrain.neural.entropy import NeuralEntropyCodec
from tests.neural.opened import artifact_of, opened
from tests.strategies import library_files


def entropy_of(coder: Path, options: str = "") -> NeuralEntropyCodec:
    parsed = parse_request(f"neural-entropy:artifact={coder}{options}")
    return NeuralEntropyCodec(parsed.parameters, artifact_of(coder), {})


def test_laws_on_short_hostile_documents(coder: Path) -> None:
    codec, short = entropy_of(coder), [raw for raw in HOSTILE.values() if len(raw) <= 1200]
    assert len(short) > 12
    assert check_laws(codec, [*short, library_files()[0][:1500]], most_points=4) > 40
    check_refusals(codec, b"def f(x):\n    return x\n" * 4, times=20)


def test_entropies_and_segments_are_those_of_the_same_artifact(coder: Path) -> None:
    raw = library_files()[0][:3000]
    text, start = np.frombuffer(raw, np.uint8), np.zeros(1, np.int64)
    for options in ("", ",segment=16"):
        coded, windows = entropy_of(coder, options), opened(coder, options or ",segment=4")
        columns = coded.encode([raw])
        assert ((columns.symbols >> 8) == document_entropies(windows.model, text, start) * 32 // BIT).all()
        begins = np.cumsum(columns.unit_bytes, dtype=np.int64) - columns.unit_bytes
        assert begins.tolist() == segment_starts(windows.model, text, start, windows.threshold).tolist()
        assert 20 < len(begins) < 1500


def test_what_it_takes_is_said(coder: Path) -> None:
    with pytest.raises(OptionError, match="neural-entropy is fitted before it is used: pctrain neural fit"):
        NeuralEntropyCodec.fit(parse_request("neural-entropy").parameters, [b"a"])
    with pytest.raises(OptionError, match="segment must be 2 … 64, got 1"):
        parse_request("neural-entropy:segment=1")
    with pytest.raises(OptionError, match="was fitted for neural; name an artifact of entropy"):
        parse_request(f"entropy:artifact={coder}")
    with pytest.raises(CodecError, match="neural needs the artifact files"):
        NeuralEntropyCodec(parse_request("neural-entropy").parameters, {}, {})
