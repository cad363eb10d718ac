"""The table of languages, how documents are looked up in it, and what linguist may add to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pcdata
from pcdata.inputs.languages import UNKNOWN, language_of, languages, table
from tools.languages import PATH, additions, main, text_of


@pytest.mark.parametrize(
    ("path", "language"),
    [
        (b"a/b.py", "Python"),
        (b"A.CPP", "C++"),
        (b"\xff.rs", "Rust"),
        (b"vector.h", "C"),
        (b"Makefile", "Makefile"),
        (b"x/CMakeLists.txt", "CMake"),
        (b"Dockerfile", "Dockerfile"),
        (b"home/.bashrc", "Shell"),
        (b"de.po", "Gettext Catalog"),
        (b"app.min.js.map", "JSON"),
        (b"terraform.tfstate.backup", "JSON"),
        (b"home.backup", "unknown"),
        (b"dir.py/file", "unknown"),
        (b"a.", "unknown"),
        (b"noext", "unknown"),
        (b"", "unknown"),
    ],
)
def test_languages_by_name(path: bytes, language: str) -> None:
    assert language_of(path) == language


@pytest.mark.parametrize(
    ("line", "language"),
    [
        (b"#!/bin/sh", "Shell"),
        (b"#! /usr/bin/perl -w\n", "Perl"),
        (b"#!/usr/bin/env bash\r\n", "Shell"),
        (b"#!/usr/bin/env -S bash -e\n", "Shell"),
        (b"#!/usr/bin/env -i -S LANG=C /opt/bin/awk -f\n", "Awk"),
        (b"#!/usr/bin/python3.11 -I\n", "Python"),
        (b"#!/usr/bin/guile-3.0\n", "Scheme"),
        (b"#!node", "JavaScript"),
        (b"#!/usr/bin/env\n", "unknown"),
        (b"#!/usr/bin/unheard-of python\n", "unknown"),
        (b"#!\npython", "unknown"),
        (b"#!" + b" " * 300 + b"sh", "unknown"),
        (b"echo #!/bin/sh", "unknown"),
    ],
)
def test_languages_by_first_line_where_the_name_says_nothing(line: bytes, language: str) -> None:
    assert language_of(b"bin/run", line) == language
    assert language_of(b"run.rb", line) == "Ruby"


@given(st.binary(max_size=300), st.binary(max_size=300))
@example(b"." * 100_000, b"#!" + b"env -" * 10_000)
def test_any_bytes_have_a_language(path: bytes, begin: bytes) -> None:
    assert language_of(path, b"#!" + begin) in {UNKNOWN, *languages()}


def test_the_table_is_as_the_tool_writes_it_and_has_each_key_once() -> None:
    assert text_of(table()) == PATH.read_text(encoding="utf-8")


def test_linguist_adds_what_the_table_does_not_say_and_changes_nothing() -> None:
    linguist = {
        "Snake": {"extensions": [".PY", ".sn@ke", ".min.py"], "filenames": ["Makefile", "Sn@ke", "sn@ke.py"]},
        "Adder": {"extensions": [".adder@", ".sn@ke", ".shared@"], "interpreters": ["python3.11", "adder@"]},
        "Viper": {"extensions": [".viper@", ".shared@"]},
        "Cuda": {"filenames": ["cuda@"]},
    }
    assert additions(linguist) == (
        {"adder@": "Adder", "viper@": "Viper"},  # two claim sn@ke and shared@, and none lists them first
        {"sn@ke": "Snake", "cuda@": "CUDA"},
        {"adder@": "Adder"},
    )
    linguist["Snake"]["extensions"].reverse()
    assert "sn@ke" not in additions(linguist).suffixes
    linguist["Adder"]["extensions"].insert(0, ".sn@ke")
    assert additions(linguist).suffixes["sn@ke"] == "Adder"


def test_the_tool_adds_lines_and_alters_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "languages.tsv"
    (tmp_path / "languages.yml").write_text('Snake: {extensions: [".py", ".sn@ke"]}\n')
    monkeypatch.setattr("tools.languages.PATH", copy)
    monkeypatch.setattr("sys.argv", ["languages", str(tmp_path / "languages.yml")])
    main()
    added = set(copy.read_text(encoding="utf-8").splitlines()) - set(PATH.read_text(encoding="utf-8").splitlines())
    assert added == {"Snake\tsn@ke\t\t"}


def test_all_parts_of_a_long_script_and_records_have_the_language_of_the_first_line(tmp_path: Path) -> None:
    script = "#!/usr/bin/env bash\n" + "".join(f"echo {number}\n" for number in range(500))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "long").write_text(script)
    records = [{"text": script[:99], "path": "short"}, {"text": script[:98]}, {"text": script[:97], "lang": "bats"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    dataset = pcdata.build(
        [tmp_path / "in", tmp_path / "in.jsonl"], tmp_path / "out", max_document_bytes=1024, val_fraction=0
    )
    assert [document.lang for document in dataset.train].count("Shell") == len(dataset.train) - 1 > 5
    assert "bats" in {document.lang for document in dataset.train}
