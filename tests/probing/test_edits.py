"""The edits of a probe: small, drawn by document and seed alone, and what they say they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.codecs.laws import HOSTILE
from pcdata.probing.edits import EDITS, INSERT, delete_characters, edited, key_for, line_to_insert, rename
from tests.strategies import documents, library_files

PROGRAM = b"def area(width):\n    total = width * width\n    return total\n\nprint(area(3))\n"


def test_golden_edits() -> None:
    """Figures that were published rest on these: they never change for a seed."""
    assert key_for(0, "rename", PROGRAM) == 3646979380176737804
    assert {name: edited(PROGRAM, name, 0) for name in EDITS} == {
        "delete 10 %": b"def rewidt):\n    total =width * width\n    return total\n\nprint(are(3\n",
        "delete 1 %": b"def area(width):\n    tota = width * width\n    return total\n\nprint(area(3))\n",
        "insert a line": b"def area(width):\n" + PROGRAM,
        "rename": b"def area(index):\n    total = index * index\n    return total\n\nprint(area(3))\n",
        "re-indent": b"    def area(width):\n        total = width * width\n        return total\n\n"
        b"    print(area(3))\n",
    }


def test_an_edit_is_a_function_of_seed_and_document() -> None:
    names = [name for name in EDITS if name != "re-indent"]  # which draws nothing
    for name in names:
        assert any(edited(raw, name, 0) != edited(raw, name, 1) for raw in library_files()[:5])
    first, second = library_files()[:2]
    assert key_for(0, INSERT, first) != key_for(0, INSERT, second)
    assert len({key_for(0, name, first) for name in EDITS}) == len(EDITS)


@given(documents(), st.sampled_from([0.01, 0.1, 0.5]), st.integers(0, 2**64 - 1))
def test_deleting_leaves_the_others_in_order(raw: bytes, share: float, key: int) -> None:
    remaining = iter(raw)
    assert all(byte in remaining for byte in delete_characters(share, raw, key))


def test_as_many_characters_are_deleted_as_were_asked_for() -> None:
    raw = "naïve 世界\n".encode() * 5_000
    for name, share in {"delete 10 %": 0.10, "delete 1 %": 0.01}.items():
        left = len(edited(raw, name, 3).decode())  # and no character was cut
        assert 1 - left / len(raw.decode()) == pytest.approx(share, rel=0.1)


@given(documents(), st.integers(0, 2**64 - 1))
def test_an_inserted_line_is_one_of_the_lines_in_the_first_half(raw: bytes, key: int) -> None:
    insertion = line_to_insert(raw, key)
    lines = raw.splitlines()
    if insertion is None:
        assert not any(line.strip() for line in lines)
        return
    after = insertion.into(raw)
    assert after[: insertion.at] + after[insertion.at + len(insertion.line) :] == raw
    assert any(line.startswith(insertion.line.rstrip(b"\r\n")) for line in lines)
    assert insertion.line.endswith((b"\n", b"\r"))
    before = raw[: insertion.at].splitlines(keepends=True)
    assert len(before) <= len(lines) // 2
    assert b"".join(before) == b"".join(raw.splitlines(keepends=True)[: len(before)])


@given(st.sampled_from(library_files()), st.integers(0, 99))
def test_renaming_changes_one_word_everywhere_and_is_undone_by_the_reverse(raw: bytes, seed: int) -> None:
    before, after = (text.decode("utf-8", "surrogateescape") for text in (raw, edited(raw, "rename", seed)))
    before_words, after_words = (re.findall(r"\w+", text) for text in (before, after))
    changed = {(old, new) for old, new in zip(before_words, after_words, strict=True) if old != new}
    assert len(changed) == 1, "one word, and to one other"
    ((old, new),) = changed
    assert before_words.count(old) >= 2
    assert old not in after_words
    assert new not in before_words
    assert re.sub(rf"\b{new}\b", old, after) == before


def test_what_cannot_be_renamed_stays() -> None:
    for raw in (b"return return 1 1 a a\n", b"0xff + 0xff\n", b"once\n", b""):
        assert rename(raw, 5) == raw
    taken = b" ".join(b"value item result count index source target buffer handle entry record".split())
    taken += b" other state width factor offset value0 zz zz "
    assert {rename(taken, key) for key in range(9)} == {taken.replace(b"zz", b"value1")}


@given(documents())
def test_reindenting_moves_every_line_that_is_not_blank(raw: bytes) -> None:
    after = edited(raw, "re-indent", 0)
    pairs = list(zip(raw.splitlines(), after.splitlines(), strict=True))
    assert all(new in (b"    " + old, b"\t" + old) if old.strip() else new == old for old, new in pairs)


def test_reindenting_keeps_to_the_document() -> None:
    assert edited(b"a\n\tb\n    c\n", "re-indent", 0) == b"\ta\n\t\tb\n\t    c\n"
    assert edited(b"a\n  b\n\n", "re-indent", 0) == b"    a\n      b\n\n"


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_anything_can_be_edited(raw: bytes) -> None:
    for name in EDITS:
        assert isinstance(edited(raw, name, 0), bytes)
