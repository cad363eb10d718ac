"""Understanding JSON and TOML that may be a stranger's: whatever is wrong with it is a ``ValueError`` in words.

Python's parsers have faults of their own kind for text that is nested deeply (``RecursionError``) or holds a number of
thousands of digits; and what they do accept may be too deep for those who walk it, compare it or show it in a message.
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
"""Lists and objects in one another. What we write has fewer than ten."""
_MOST_BITS: Final = 64


def parse_json(data: bytes) -> Any:
    """The value in UTF-8 text, which may begin with a byte order mark. Of equal keys the last one counts, and ``NaN``
    and ``Infinity`` are numbers. Raises ``ValueError``."""
    return _modest(parse_json_text(data.decode("utf-8-sig")))


def parse_json_text(text: str) -> Any:
    """The same of one record of many: it may be as deep as Python can read it, and its numbers as large."""
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
    """As files of ours have it: a line for each item."""
    return json.dumps(value, indent=1).encode() + b"\n"


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError):
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # of int(), whose own words are for programmers
        raise ValueError(f"it has a number of more than {sys.get_int_max_str_digits()} digits") from None


def _modest(value: Any) -> Any:
    """The same value. Raises ``ValueError`` if it is nested more deeply than ``DEEPEST``, or holds a whole number that
    no machine has a type for."""
    level = [value]
    for _ in range(DEEPEST + 1):
        if any(isinstance(each, int) and each.bit_length() > _MOST_BITS for each in level):
            raise ValueError(f"it has a whole number of more than {_MOST_BITS} bits")
        nested = [each for each in level if isinstance(each, dict | list)]
        if not nested:
            return value
        level = [each for one in nested for each in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(f"it is nested more than {DEEPEST} deep")
