"""Add to ``pcdata/inputs/languages.tsv`` what GitHub's linguist knows and the table does not.

    python -m tools.languages languages.yml

takes ``lib/linguist/languages.yml`` of github-linguist (MIT licence, copyright GitHub, Inc.). Existing entries are
kept: a key is added only if files with that suffix, name or interpreter are of an unknown language so far. If several
languages claim a key, it goes to the one that lists it first, as linguist lists a main suffix; unless there is exactly
one, it stays unknown. Edit the table by hand where people expect another answer.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import yaml

from pcdata.inputs import languages
from pcdata.inputs.languages import UNKNOWN, Table, language_of
from tools.benching import parser_of

PATH: Final = Path(languages.__file__).with_name("languages.tsv")
HEADER: Final = "language\tsuffixes\tfile names\tinterpreters"

OURS: Final = {"Cuda": "CUDA", "Vim script": "Vim Script", "Visual Basic .NET": "Visual Basic", "fish": "Shell"}
"""Linguist's languages that have other names in the table."""


def main() -> None:
    parser = parser_of(__doc__, rounds=0)
    parser.add_argument("linguist", type=Path)
    linguist = yaml.safe_load(parser.parse_args().linguist.read_text(encoding="utf-8"))
    added, known = additions(linguist), languages.table()
    PATH.write_text(text_of(Table(*(old | new for old, new in zip(known, added, strict=True)))), encoding="utf-8")
    print(f"{sum(map(len, added)):,} keys added to {sum(map(len, known)):,}")


def additions(linguist: dict[str, dict[str, Any]]) -> Table:
    """Linguist's entries for keys that the table does not have."""
    suffixes = {key.removeprefix("."): language for key, language in _decided(linguist, "extensions").items()}
    names, interpreters = _decided(linguist, "filenames"), _decided(linguist, "interpreters")
    return Table(
        {key: suffixes[key] for key in suffixes if language_of(f"file.{key}".encode()) == UNKNOWN},
        {key: names[key] for key in names if language_of(key.encode()) == UNKNOWN},
        {key: interpreters[key] for key in interpreters if language_of(b"", f"#!{key}".encode()) == UNKNOWN},
    )


def _decided(linguist: dict[str, dict[str, Any]], column: str) -> dict[str, str]:
    """The language of each key (in lower case) that only one language claims, or only one lists first."""
    claims: dict[str, set[str]] = defaultdict(set)
    firsts: dict[str, set[str]] = defaultdict(set)
    for name, language in linguist.items():
        for key in language.get(column, ()):
            claims[key.lower()].add(OURS.get(name, name))
        for key in language.get(column, ())[:1]:
            firsts[key.lower()].add(OURS.get(name, name))
    single = {key: found if len(found) == 1 else firsts[key] for key, found in claims.items()}
    return {key: found.copy().pop() for key, found in single.items() if len(found) == 1}


def text_of(table: Table) -> str:
    """The file: one line per language, with sorted keys."""
    keys: dict[str, list[list[str]]] = defaultdict(lambda: [[], [], []])
    for column, known in enumerate(table):
        for key in sorted(known):
            keys[known[key]][column].append(key)
    lines = ("\t".join([language, *map(" ".join, keys[language])]) for language in sorted(keys))
    return "\n".join([HEADER, *lines, ""])


if __name__ == "__main__":
    main()
