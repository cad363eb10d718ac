"""Fitting in a process of its own: the same artifact, and an end as soon as it is wanted."""

from __future__ import annotations

import multiprocessing
from typing import NoReturn

import pytest

from pcdata.building import fitting
from pcdata.codecs.base import codec_class
from pcdata.codecs.requests import parse_request
from pcdata.errors import OptionError
from tests.strategies import library_files

SAMPLE = library_files() * 3
SMALL = library_files()[:2]


class Stop(BaseException):
    """As a signal raises it."""


@pytest.mark.parametrize("request_text", ["bpe:vocab_size=600", "ngram:contexts=50", "zstd:dictionary=16000"])
@pytest.mark.parametrize("sample", [SAMPLE, SMALL, []], ids=["large", "small", "none"])
def test_the_artifact_is_what_the_codec_makes(request_text: str, sample: tuple[bytes, ...]) -> None:
    others = {*multiprocessing.active_children()}  # of earlier tests
    request = parse_request(request_text)
    advanced: list[int] = []
    artifact = fitting.fit(request.codec, request.parameters, sample, advanced.append)
    assert artifact == codec_class(request.codec).fit(request.parameters, sample)
    if sample == SAMPLE:
        assert sum(advanced) > 1_000_000
    assert {*multiprocessing.active_children()} <= others


def test_what_ends_the_wait_ends_the_process() -> None:
    others = {*multiprocessing.active_children()}

    def stop(done: int) -> NoReturn:
        raise Stop

    request = parse_request("bpe:vocab_size=600")
    with pytest.raises(Stop):
        fitting.fit(request.codec, request.parameters, SAMPLE, stop)
    assert {*multiprocessing.active_children()} <= others


def test_what_fit_raises_is_raised() -> None:
    """Of a codec that is fitted elsewhere."""
    request = parse_request("neural")
    with pytest.raises(OptionError, match="pctrain neural fit"):
        fitting.fit(request.codec, request.parameters, SAMPLE, lambda done: None)
