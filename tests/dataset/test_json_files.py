"""A stranger's JSON and TOML are values that can be walked and shown, or a ``ValueError`` in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.json_files import DEEPEST, parse_json, parse_json_text, parse_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inside: st.lists(inside) | st.dictionaries(TEXT, inside),
)


@given(VALUES, st.booleans())
def test_a_value_comes_back(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text.encode()) == parse_json_text(text) == value


def nested(depth: int, begin: str = "[", end: str = "]", inside: str = "") -> bytes:
    return (begin * depth + inside + end * depth).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (nested(DEEPEST + 1), "nested"),
        (nested(500, '{"a":', "}", "1"), "nested"),
        (nested(10**6), "nested"),
        (b"1" * 5000, "digits"),
        (b"[-18446744073709551616]", "bits"),
        (b'{"a": "\xff"}', "utf-8"),
        (b"{", "Expecting"),
        (b"", "Expecting"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        parse_json(data)
    assert "set_int_max_str_digits" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a = " + nested(10**4), "nested"),
        (b"a" + b".a" * 500 + b" = 1", "nested"),
        (b"a = " + b"1" * 5000, "digits"),
        (b"a = 0x" + b"f" * 5000, "bits"),
        (b"a = '\xff'", "utf-8"),
        (b"a = 2020-99-99T99:99:99", "line 1"),
    ],
)
def test_so_is_what_is_wrong_with_toml(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_toml(data)


def test_what_is_as_deep_as_allowed_is_read() -> None:
    assert str(parse_json(nested(DEEPEST))) == nested(DEEPEST).decode()
    assert parse_toml(b"a = " + nested(DEEPEST - 1))["a"]


def test_a_record_may_be_deeper() -> None:
    assert str(parse_json_text(nested(2 * DEEPEST).decode())) == nested(2 * DEEPEST).decode()
    with pytest.raises(ValueError, match="nested"):
        parse_json_text(nested(10**6).decode())
