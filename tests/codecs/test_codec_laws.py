"""The laws of ``pcdata.codecs.base.Codec``, for every codec and every option that changes its output."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given

from pcdata.codecs.base import codec_class
from pcdata.codecs.laws import (
    HOSTILE,
    INCOMPRESSIBLE,
    check_alone,
    check_columns,
    check_fit,
    check_laws,
    check_refusals,
)
from pcdata.codecs.requests import parse_request
from tests.codecs.examples import REQUESTS, codec, opened
from tests.strategies import batches, documents, library_files

pytestmark = pytest.mark.parametrize("request_text", REQUESTS)


def test_any_documents(request_text: str) -> None:
    tested, seen = codec(request_text), Counter[str]()

    @given(batches())
    def law(raws: list[bytes]) -> None:
        seen["points"] += check_laws(tested, raws)

    law()
    assert seen["points"] > 0, "no document had units: the law was not tested"


def test_hostile_documents(request_text: str) -> None:
    tested = codec(request_text)
    check_laws(tested, [raw for raw in HOSTILE.values() if len(raw) < 100_000], most_points=4)
    check_laws(tested, [raw for raw in HOSTILE.values() if len(raw) >= 100_000], most_points=1)


def test_library_files(request_text: str) -> None:
    tested, raws = codec(request_text), [*library_files()[-6:], b"".join(library_files())[:150_000]]
    assert check_laws(tested, raws) > len(raws), "every document was one unit: the law was not tested"
    compresses = request_text.startswith(("zstd", "gzip", "bpe", "ngram")) and request_text != "bpe:vocab_size=256"
    if compresses:
        columns = tested.encode(raws)
        assert len(columns.symbols) * math.log2(tested.types.n_symbols) < 8 * columns.unit_bytes.sum()


def test_another_instance_encodes_alike(request_text: str) -> None:
    tested, other, seen = codec(request_text), opened(request_text), Counter[str]()

    @given(documents())
    def law(raw: bytes) -> None:
        columns = tested.encode([raw])
        check_alone(other, [raw], columns)
        seen["symbols"] += len(columns.symbols)

    law()
    assert seen["symbols"] > 0


def test_fitting(request_text: str) -> None:
    request = parse_request(request_text.partition(" ")[0])
    raws = library_files()[:5]
    check_laws(check_fit(codec_class(request.codec), request.parameters, raws), raws[:1])


def test_maxima_hold_for_incompressible_bytes(request_text: str) -> None:
    tested = codec(request_text)
    check_columns(tested, INCOMPRESSIBLE, tested.encode(INCOMPRESSIBLE))


def test_impossible_symbols_are_refused_and_nothing_else_happens(request_text: str) -> None:
    check_refusals(codec(request_text), library_files()[0][:3000])


@pytest.mark.slow
def test_ten_megabytes_on_one_line(request_text: str) -> None:
    tested, line = codec(request_text), b" ".join(b"".join(library_files()).split())
    raws = [(line * (10_000_000 // len(line) + 1))[:10_000_000]]
    columns = tested.encode(raws)
    check_columns(tested, raws, columns)
    assert not list(tested.faults(raws, columns, [0]))
