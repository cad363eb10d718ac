"""Parsing JSON and TOML that may come from a stranger: any error is a ``ValueError`` with a sentence.

Python's parsers raise other errors for deeply nested text (``RecursionError``) and for numbers of thousands of digits;
and what they accept may be too deep for code that walks, compares or prints it.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pcdata.errors import PcdataError

DEEPEST: Final = 100
"""Nested lists and objects. Our own files have fewer than ten levels."""
_MOST_BITS: Final = 64


def parse_json(data: bytes) -> Any:
    """The value of UTF-8 text, which may begin with a byte order mark. The last of equal keys counts, and ``NaN`` and
    ``Infinity`` are numbers. Raises ``ValueError``."""
    return _modest(parse_json_text(data.decode("utf-8-sig")))


def parse_json_text(text: str) -> Any:
    """The same for one record of many: as deep, and with numbers as large, as Python can read."""
    return _parsed(json.loads, text)


def parse_toml(data: bytes) -> dict[str, Any]:
    """The tables in UTF-8 text. Raises ``ValueError``."""
    tables: dict[str, Any] = _modest(_parsed(tomllib.loads, data.decode()))
    return tables


def read_config_file(file: Path, fault: type[PcdataError]) -> dict[str, Any]:
    """What ``--config`` names. Raises ``fault``."""
    try:
        return parse_toml(file.read_bytes())
    except OSError as error:
        raise fault(f"--config {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise fault(f"--config {file} is not TOML: {error}") from error


def rendered_json(value: Any) -> bytes:
    """As in our files: one line per item."""
    return json.dumps(value, indent=1).encode() + b"\n"


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError):
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # from int(), with a message for programmers
        raise ValueError(f"it has a number of more than {sys.get_int_max_str_digits()} digits") from None


def _modest(value: Any) -> Any:
    """The same value. Raises ``ValueError`` if it is nested more deeply than ``DEEPEST``, or holds an integer that is
    too large for any machine type."""
    level = [value]
    for _ in range(DEEPEST + 1):
        if any(isinstance(each, int) and each.bit_length() > _MOST_BITS for each in level):
            raise ValueError(f"it has a whole number of more than {_MOST_BITS} bits")
        nested = [each for each in level if isinstance(each, dict | list)]
        if not nested:
            return value
        level = [each for one in nested for each in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(f"it is nested more than {DEEPEST} deep")
