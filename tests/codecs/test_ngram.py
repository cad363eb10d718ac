"""The counts of ``ngram`` against a slow calculation, its artifact, and what it reaches."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.codecs import ngram_model
from pcdata.codecs.byte_model import TOTAL
from pcdata.codecs.ngram import CONTEXTS, COUNTS, SETTINGS, NgramCodec, NgramParameters
from pcdata.codecs.ngram_contexts import Contexts, stretches
from pcdata.codecs.requests import parse_request
from pcdata.errors import CodecError, OptionError
from tests.codecs.examples import codec, fitted
from tests.strategies import library_files


def contexts_of(contexts: Contexts) -> list[bytes]:
    """The bytes of every row's context."""
    found = [b""]
    for cell in contexts.cells.tolist():
        found.append(bytes([cell & 255]) + found[cell >> 8])
    return found


def slow_counts(sample: list[bytes], order: int) -> dict[bytes, Counter[int]]:
    seen: dict[bytes, Counter[int]] = defaultdict(Counter)
    for document in sample:
        for index, byte in enumerate(document):
            for length in range(min(order, index) + 1):
                seen[document[index - length : index]][byte] += 1
    return seen


SMALL = st.lists(st.binary(max_size=80) | st.text("ab \n", max_size=80).map(str.encode), max_size=5)


@given(SMALL, st.integers(1, 4), st.sampled_from([1, 7, 60, 5000]))
def test_counts_are_those_of_the_most_frequent_contexts(sample: list[bytes], order: int, most: int) -> None:
    counts = ngram_model.count(sample, order, most)
    expected = slow_counts(sample, order)
    contexts = contexts_of(counts.contexts)
    assert len(set(contexts)) == len(contexts) <= most
    assert all(len(context) <= order for context in contexts)
    assert all(context[1:] in contexts for context in contexts)
    for context, row in zip(contexts, counts.dense(0, len(contexts)), strict=True):
        assert Counter({byte: n for byte, n in enumerate(row.tolist()) if n}) == expected.get(context, Counter())
    left_out = [expected[context].total() for context in expected if context not in contexts]
    kept = [expected[context].total() for context in contexts if context in expected]
    assert len(contexts) == min(most, max(1, len(expected)))
    assert max(left_out, default=0) <= min(kept, default=10**9)


@given(SMALL, st.integers(1, 200))
def test_the_longest_context_is_found_at_once_and_one_by_one(texts: list[bytes], most_bytes: int) -> None:
    contexts = ngram_model.count([b"abab ab\nb a" * 9, b"\0\1\0"], 4, 300).contexts
    known = contexts_of(contexts)
    spans = [text for text in texts if text]
    text = np.frombuffer(b"".join(spans), np.uint8)
    starts = np.cumsum([0, *map(len, spans)])[:-1]
    rows = contexts.longest(text, starts)
    in_pieces = [np.maximum.reduce(list(contexts.walk(piece))) - 1 for piece in stretches(text, starts, most_bytes)]
    assert np.array_equal(rows, np.concatenate([np.zeros(0, np.intp), *in_pieces]))
    place = 0
    for span in spans:
        for index in range(len(span)):
            candidates = [span[index - length : index] for length in range(min(4, index) + 1)]
            longest = max((context for context in candidates if context in known), key=len)
            assert known[rows[place]] == longest
            assert contexts.find(span[:index]) == rows[place]
            place += 1


def test_counts_are_mixed_with_the_parents_as_witten_and_bell_say() -> None:
    """Against fractions, level by level; 16 bits and a least count of 1 cost less than 1 count in 65,536."""
    sample = [file[:4000] for file in library_files()[:6]]
    counts = ngram_model.count(sample, 3, 400)
    model = ngram_model.NgramModel(counts)
    seen = slow_counts(sample, 3)

    def mixed(context: bytes) -> list[int]:
        table, row = model.following(context)
        return np.diff(table.cumulative_RC[row].astype(np.int64)).tolist()

    for context in contexts_of(counts.contexts)[::7]:
        of, parent = seen[context], mixed(context[1:]) if context else [256] * 256
        found = mixed(context)
        assert sum(found) == TOTAL
        likeliest = found.index(max(found))
        for byte in set(range(256)) - {likeliest}:  # which takes what rounding leaves
            share = (of[byte] + len(of) * Fraction(parent[byte], TOTAL)) / (of.total() + len(of))
            assert 0 <= 1 + share * (TOTAL - 256) - found[byte] < 1.01


def test_a_sample_of_nothing_finds_all_bytes_alike() -> None:
    for sample in ([], [b""]):
        tested = NgramCodec(NgramParameters(), NgramCodec.fit(NgramParameters(), sample), {})
        columns = tested.encode([b"hello"])
        assert tested.decode(columns.symbols, columns.unit_bytes, None) == b"hello"
        table, row = tested.model.following(b"")
        assert (np.diff(table.cumulative_RC[row]) == 256).all()


def test_it_packs_several_bytes_into_a_symbol() -> None:
    """A model of 400 kB on its own sample; ``pcdata stats --measure`` has figures on a corpus."""
    tested, raws = codec("ngram"), list(library_files())
    columns = tested.encode(raws)
    assert sum(map(len, raws)) / len(columns.symbols) > 4


def test_what_the_artifact_settled_need_not_be_said_again(tmp_path: Path) -> None:
    for name, data in fitted("ngram:segment=16,order=3,contexts=500").items():
        (tmp_path / name).write_bytes(data)
    parsed = parse_request(f"ngram:artifact={tmp_path},window_bits=32")
    assert parsed.parameters == NgramParameters(order=3, contexts=500, segment=16, window_bits=32)
    with pytest.raises(OptionError, match=r"segment is 8, but .* was made with 16; leave segment out"):
        parse_request(f"ngram:artifact={tmp_path},segment=8")


def _changed(**changes: object) -> bytes:
    settings = json.loads(fitted("ngram")[SETTINGS])
    return json.dumps({**settings, **changes}).encode()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        (CONTEXTS, b"\0\0\0", "contexts.uint32 is cut"),
        (CONTEXTS, b"\0\0\0\0" * 2, "not a tree in order"),
        (CONTEXTS, b"\0\7\0\0", "not a tree in order"),
        (CONTEXTS, b"".join((row << 8).to_bytes(4, "little") for row in range(5)), "more than 4 bytes"),
        (COUNTS, b"\0\0\0\0", "no pairs"),
        (COUNTS, b"\0\0\0\0\0\0\0\0", "not in order, or of no context"),
        (COUNTS, b"\0\0\0\x7f\1\0\0\0", "not in order, or of no context"),
        (SETTINGS, b"{", r"settings.json must have .* \(Expecting"),
        (SETTINGS, b"[]", "must have whole numbers for contexts, order, segment, threshold"),
        (SETTINGS, _changed(threshold=0.5), "must have whole numbers"),
        (SETTINGS, _changed(threshold=10**6), "the threshold must be 0 … 524288, got 1000000"),
        (SETTINGS, _changed(segment=9), "the artifact was fitted with"),
    ],
)
def test_an_artifact_that_cannot_be_is_refused(name: str, data: bytes, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        NgramCodec(NgramParameters(), {**fitted("ngram"), name: data}, {})


def test_files_that_are_missing_are_named() -> None:
    with pytest.raises(CodecError, match="ngram needs the artifact files"):
        NgramCodec(NgramParameters(), {SETTINGS: fitted("ngram")[SETTINGS]}, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ngram:order=5", "order must be 1 … 4, got 5"),
        ("ngram:contexts=0", "contexts must be 1 … 65536, got 0"),
        ("ngram:segment=65", "segment must be 2 … 64, got 65"),
        ("ngram:window_bits=20", "window_bits must be one of 16, 24, 32, got 20"),
        ("ngram:symbol_bits=5", "symbol_bits must divide window_bits=16 and be at most 16"),
        ("ngram:window_bits=32,symbol_bits=32", "symbol_bits must divide window_bits=32 and be at most 16"),
        ("ngram:reset=never", "reset must be one of segment, window, got 'never'"),
        ("ngram:ids=raw", "the symbols of ngram are not bytes"),
    ],
)
def test_an_option_that_cannot_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_request(text)


def test_symbols_of_eight_bits_may_share_the_raw_ids() -> None:
    assert parse_request("ngram:symbol_bits=8,ids=raw").ids == "raw"
