"""Levels and units of ``entropy`` against slow, separate readings of the rules; what ``faults`` finds; the artifact."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.codecs.base import codec_class
from pcdata.codecs.byte_model import TOTAL
from pcdata.codecs.entropy import RISES, EntropyCodec, EntropyParameters, NgramEntropyCodec
from pcdata.codecs.fitted import RECORD
from pcdata.codecs.ngram import SETTINGS
from pcdata.codecs.requests import parse_request
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES
from pcdata.errors import CodecError, OptionError
from tests.building.corpora import fit, options, write_code
from tests.codecs.examples import codec, fitted
from tests.strategies import documents, library_files

MONOTONIC = "entropy:segment=16,order=2,contexts=500,monotonic=true"


def entropy_codec(request: str) -> EntropyCodec:
    found = codec(request)
    assert isinstance(found, EntropyCodec)
    return found


def slow_bits(tested: EntropyCodec, raw: bytes) -> list[float]:
    """The entropy before each byte, in floating point, a byte at a time."""
    bits = []
    for index in range(len(raw)):
        table, row = tested.model.following(raw[max(0, index - 128) : index])
        shares = np.diff(table.cumulative_RC[row]) / TOTAL
        bits.append(-sum(share * math.log2(share) for share in shares.tolist()))
    return bits


def test_a_symbol_is_the_byte_and_the_entropy_before_it() -> None:
    tested, raw = entropy_codec("entropy"), library_files()[2][:2000]
    symbols = tested.encode([raw]).symbols
    assert (symbols & 255).astype(np.uint8).tobytes() == raw
    assert np.array(slow_bits(tested, raw)) * 32 - (symbols >> 8) == pytest.approx(0.5, abs=0.51)
    assert len(np.unique(symbols >> 8)) > 60


def test_a_model_that_knows_nothing_has_the_last_level() -> None:
    tested = NgramEntropyCodec(EntropyParameters(), NgramEntropyCodec.fit(EntropyParameters(), []), {})
    assert (tested.encode([b"abc"]).symbols >> 8).tolist() == [255] * 3


@pytest.mark.parametrize("request_text", ["entropy", MONOTONIC])
def test_units_begin_where_the_rule_says(request_text: str) -> None:
    tested = entropy_codec(request_text)
    raws = [library_files()[1][:3000], b" " * 300, b"a"]
    columns, longest = tested.encode(raws), 0
    for row, raw in enumerate(raws):
        bits, starts, threshold = slow_bits(tested, raw), [0], tested.threshold / 65536
        for index in range(1, len(raw)):
            compared = bits[index] - (bits[index - 1] if tested.monotonic else 0)
            assert abs(compared - threshold) > 1e-4, "too near for floating point: change the example"
            if compared > threshold or index - starts[-1] == LONGEST_SEGMENT_BYTES:
                starts.append(index)
        assert columns.unit_bytes_of(row).tolist() == np.diff(starts, append=len(raw)).tolist()
        longest = max(longest, int(columns.unit_bytes_of(row).max()))
    assert longest == LONGEST_SEGMENT_BYTES


@pytest.mark.parametrize("request_text", ["entropy", MONOTONIC])
def test_nothing_depends_on_later_bytes(request_text: str) -> None:
    tested, seen = entropy_codec(request_text), Counter[str]()

    @given(documents(), st.binary(min_size=1, max_size=90), st.binary(min_size=1, max_size=90))
    def law(before: bytes, after: bytes, other: bytes) -> None:
        known = len(before) + 1  # the entropy of the byte after them is that of a prediction from them
        one, two = (tested.encode([before + rest]) for rest in (after, other))
        assert np.array_equal(one.symbols[:known] >> 8, two.symbols[:known] >> 8)
        ends = [np.cumsum(columns.unit_bytes, dtype=np.int64) for columns in (one, two)]
        assert np.array_equal(*(each[each < known] for each in ends))
        seen["levels that differ"] += not np.array_equal(one.symbols[known:] >> 8, two.symbols[known:] >> 8)

    law()
    assert seen["levels that differ"] > 0


@pytest.mark.parametrize("segment", [4, 12])
@pytest.mark.parametrize("monotonic", [False, True])
def test_units_have_the_mean_length_that_was_asked_for_on_the_sample(segment: int, monotonic: bool) -> None:
    parameters, sample = EntropyParameters(segment=segment, monotonic=monotonic), library_files()
    tested = NgramEntropyCodec(parameters, NgramEntropyCodec.fit(parameters, sample), {})
    mean = sum(map(len, sample)) / len(tested.encode(sample).unit_bytes)
    assert segment <= mean < segment * 1.05


def test_verify_finds_another_byte_another_level_and_another_unit() -> None:
    tested, raws = codec("entropy"), list(library_files()[:3])
    found = {}
    for what, change in {"byte": 1, "level": 256}.items():
        columns = tested.encode(raws)
        columns.symbols[columns.symbol_offsets[1] + 5] ^= change
        found[what] = list(tested.faults(raws, columns, range(3)))
    columns = tested.encode(raws)
    first = int(np.flatnonzero(columns.unit_bytes[columns.unit_offsets[1] :] > 1)[0] + columns.unit_offsets[1])
    for lengths in (columns.unit_bytes, columns.unit_symbols):
        assert lengths is not None
        lengths[first : first + 2] += np.array([-1, 1]).astype(np.uint8)
    found["unit"] = list(tested.faults(raws, columns, range(3)))
    assert found == {
        "byte": [(1, "the symbols decode to other bytes than raw")],
        "level": [(1, "the entropies are not those of the model")],
        "unit": [(1, "the units do not begin where the entropies say")],
    }


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", r"rises.json must have a threshold \(Expecting"),
        (b"[]", r"rises.json must have a threshold \("),
        (b'{"threshold": 0.5}', r"rises.json must have a threshold \("),
        (b'{"threshold": -1}', "rises.json must have a threshold, 0 … 524288, and nothing else"),
        (b'{"threshold": 1, "other": 2}', "0 … 524288, and nothing else"),
        (b"{}", "0 … 524288, and nothing else"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        NgramEntropyCodec(parse_request(MONOTONIC).parameters, {**fitted(MONOTONIC), RISES: data}, {})


def test_an_artifact_of_the_other_rule_or_of_files_missing_is_refused() -> None:
    of_both = fitted(MONOTONIC)
    of_ngram = {name: data for name, data in of_both.items() if name != RISES}
    parameters = parse_request(MONOTONIC).parameters
    with pytest.raises(CodecError, match=r"has rises\.json with monotonic, and only then; got"):
        NgramEntropyCodec(parameters, of_ngram, {})
    with pytest.raises(CodecError, match=r"has rises\.json with monotonic, and only then; got"):
        NgramEntropyCodec(EntropyParameters(segment=16, order=2, contexts=500), of_both, {})
    with pytest.raises(CodecError, match="ngram needs the artifact files"):
        NgramEntropyCodec(parameters, {RISES: of_both[RISES], SETTINGS: of_both[SETTINGS]}, {})


def test_an_artifact_of_ngram_serves_both(tmp_path: Path) -> None:
    write_code(tmp_path / "code")
    record = fit(options(tmp_path / "code", tmp_path / "made", "ngram:segment=7,contexts=90,window_bits=32")).record
    assert (tmp_path / "made" / RECORD).exists()
    asked = parse_request(f"entropy:artifact={tmp_path / 'made'}")
    assert asked.parameters == EntropyParameters(segment=7, contexts=90)
    assert asked.fitted_on == record.fitted_on
    codec_class("entropy")(asked.parameters, NgramEntropyCodec.read_artifact(tmp_path / "made"), {})
    with pytest.raises(OptionError, match=r"segment is 4, but .* was made with 7; leave segment out"):
        parse_request(f"entropy:artifact={tmp_path / 'made'},segment=4")
    with pytest.raises(OptionError, match="was fitted for ngram; name an artifact of bpe"):
        parse_request(f"bpe:artifact={tmp_path / 'made'}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("entropy:segment=1", "segment must be 2 … 64, got 1"),
        ("entropy:order=5", "order must be 1 … 4, got 5"),
        ("entropy:contexts=0", "contexts must be 1 … 65536, got 0"),
        ("entropy:ids=raw", "the symbols of entropy are not bytes"),
    ],
)
def test_an_option_that_cannot_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_request(text)
