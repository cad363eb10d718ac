"""Cuts are where the module says, and depend on what is near them only."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.codecs import chunking
from tests.strategies import HOSTILE, batches, library_files


def cuts(*documents: bytes, size: int = 256) -> list[int]:
    ends = np.cumsum([len(document) for document in documents], dtype=np.int64)
    return chunking.cut(np.frombuffer(b"".join(documents), np.uint8), ends, size).tolist()


@given(batches(), st.sampled_from([64, 100, 256]))
def test_pieces_are_whole_and_short_and_alike_in_any_company(documents: list[bytes], size: int) -> None:
    found = cuts(*documents, size=size)
    expected, start = [], 0
    for document in documents:
        alone = cuts(document, size=size)
        assert alone == sorted(set(alone))
        assert alone[-1:] == ([len(document)] if document else [])
        assert np.diff([0, *alone]).max(initial=0) <= chunking.LONGEST * size
        expected += [start + end for end in alone]
        start += len(document)
    assert found == expected


def cuts_by_definition(text: bytes, size: int, candidates: dict[int, bool]) -> list[int]:
    """The rule itself, candidate against candidate; ``candidates`` maps positions to whether they are better ones."""
    reach, rank = size // 2, dict[int, int]()
    for position, better in candidates.items():
        if reach <= position <= len(text) - reach:
            near = int.from_bytes(text[position - 8 : position], "little")
            far = int.from_bytes(text[position - 16 : position - 8], "little")
            mixed = (near * 0x9E3779B97F4A7C15 ^ far * 0xC2B2AE3D27D4EB4F) % 2**64
            mixed = (mixed ^ mixed >> 29) * 0x9E3779B97F4A7C15 % 2**64
            rank[position] = (mixed >> 1) | better << 63
    return [
        here
        for here in rank
        if all(rank[here] > rank.get(other, -1) for other in range(here - reach + 1, here))
        and all(rank[here] >= rank.get(other, -1) for other in range(here + 1, here + reach))
    ]


def test_line_ends_are_chosen_as_defined() -> None:
    chosen = 0
    for document in library_files()[:8]:
        for text in (document[:6000], document[:6000].replace(b"\n", b"\r\n")):
            lines = (match.end() for match in re.finditer(b"\n", text))
            blank = {end: text[:end].endswith((b"\n\n", b"\n\r\n")) for end in lines}
            expected = cuts_by_definition(text, 128, blank)
            found = [end for end in cuts(text, size=128)[:-1] if text[end - 1 : end] == b"\n"]
            assert set(expected) <= set(found)
            if np.diff([0, *expected, len(text)]).max() <= chunking.LONGEST * 128:
                assert found == expected
            chosen += len(expected)
    assert chosen > 200


def test_cuts_in_long_lines_are_chosen_as_defined() -> None:
    text = made_text(11, 6000).replace(b"\n", b"; ").replace(b"a", "é".encode())
    in_word = re.compile(rb"[A-Za-z0-9_\x80-\xff]")
    better = {end: not in_word.match(text, end - 1) for end in range(1, len(text))}
    expected = cuts_by_definition(text, 128, better)
    assert np.diff([0, *expected, len(text)]).max() <= chunking.LONGEST * 128
    assert cuts(text, size=128) == [*expected, len(text)]
    assert len(expected) > 30


def made_text(seed: int, bytes_: int) -> bytes:
    draw = random.Random(seed)
    words = [draw.randbytes(5).hex() for _ in range(500)]
    lines = (" ".join(draw.choices(words, k=draw.randint(0, 7))) for _ in range(bytes_ // 20))
    return "\n".join(lines).encode()[:bytes_]


@pytest.mark.parametrize("kind", ["lines", "one line"])
@given(st.integers(0, 10_000), st.binary(max_size=60), st.integers(0, 60))
def test_an_edit_moves_only_cuts_nearby(kind: str, place: int, put_in: bytes, left_out: int) -> None:
    before = made_text(7, 20_000)
    if kind == "one line":
        before = before.replace(b"\n", b" ")
    place += 5_000
    after = before[:place] + put_in + before[place + left_out :]
    shift, size = len(after) - len(before), 128
    old, new = cuts(before, size=size), cuts(after, size=size)
    near = 8 * size
    assert [end for end in old if end < place - near] == [end for end in new if end < place - near]
    assert [end + shift for end in old if end > place + near] == [end for end in new if end - shift > place + near]
    assert len(old) > 100


def test_mean_size_is_the_one_asked_for() -> None:
    for size in (128, 256, 512):
        found = cuts(*library_files(), size=size)
        assert 0.8 * size < found[-1] / len(found) < 1.2 * size
        assert np.diff([0, *found]).min() >= min(size // 2, *map(len, library_files()))


def test_long_lines_are_cut_alike_in_slabs_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [made_text(3, 30_000).replace(b"\n", b";"), HOSTILE["one long line"], random.Random(5).randbytes(30_000)]
    whole = [cuts(text) for text in texts]
    monkeypatch.setattr(chunking, "_SLAB_BYTES", 1000)
    assert [cuts(text) for text in texts] == whole
    assert min(map(len, whole)) > 30


def test_long_lines_are_cut_after_punctuation() -> None:
    text = made_text(3, 30_000).replace(b"\n", b";").replace(b" ", b", ")
    inner = cuts(text)[:-1]
    assert len(inner) > 50
    assert {text[end - 1 : end] for end in inner} <= {b";", b",", b" "}
