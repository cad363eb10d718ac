"""``--config``: a file says what the command line would say, and a dataset gives its own back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.building.config_file import _toml, read_config, render_config
from pcdata.dataset.manifest import load_manifest
from pcdata.errors import OptionError
from tests.building.corpora import write_code
from tests.command_lines import pcdata
from tests.dataset.contents import contents

ODD = """
exclude = ["module3.py", 'a "b"']
langs = ["python"]
min_bytes = 300
sample = 0.9
val_fraction = 0.5
val_by = "path-prefix"
fit_bytes = 100_000
shard_bytes = 20_000
strict = true
workers = 1
compressors = ["zstd:size=128,dictionary=0", "bpe:vocab_size=300,name=small", "token-bytes:vocab_size=300,ids=raw"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``code``, ``odd.toml`` and ``shards``, built from these."""
    folder = tmp_path_factory.mktemp("config")
    write_code(folder / "code")
    (folder / "odd.toml").write_text(ODD)
    done = pcdata("build", folder / "code", "-o", folder / "shards", "--config", folder / "odd.toml", "-q")
    assert done.exit_code == 0, done.output
    return folder


def test_a_file_says_what_the_command_line_would_say(place: Path, tmp_path: Path) -> None:
    line = ["--exclude", "module3.py", "--exclude", 'a "b"', "--lang", "python", "--min-bytes", 300, "--sample", 0.9]
    line += ["--val-fraction", 0.5, "--val-by", "path-prefix", "--fit-bytes", 100_000, "--shard-bytes", 20_000]
    line += ["-c", "zstd:size=128,dictionary=0", "-c", "bpe:vocab_size=300,name=small"]
    line += ["-c", "token-bytes:vocab_size=300,ids=raw", "-q"]
    assert pcdata("build", place / "code", "-o", tmp_path / "out", *line).exit_code == 0
    assert contents(tmp_path / "out") == contents(place / "shards")


def test_a_dataset_gives_back_the_file_that_builds_it(place: Path, tmp_path: Path) -> None:
    printed = pcdata("config", place / "shards").stdout
    assert "# inputs, to be named on the command line: code\n" in printed
    config = tmp_path / "again.toml"
    config.write_text(f"inputs = [{_toml(str(place / 'code'))}]\n{printed}")
    assert pcdata("build", "-o", tmp_path / "out", "--config", config, "-q").exit_code == 0
    assert contents(tmp_path / "out") == contents(place / "shards")


def test_the_command_line_goes_before_the_file(place: Path, tmp_path: Path) -> None:
    line = ["-c", "gzip", "--sample", 1, "-q", "--config", place / "odd.toml"]
    done = pcdata("build", place / "code", "-o", tmp_path / "out", *line)
    assert done.exit_code == 0, done.output
    options = load_manifest(tmp_path / "out").options
    assert [values["codec"] for values in options["compressors"]] == ["gzip"]
    assert (options["sample"], options["min_bytes"]) == (1.0, 300)


def test_a_file_may_spell_options_as_the_command_line_does(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('lang = ["python"]\nno_default_excludes = true\ncompressor = ["gzip"]\nmin_bytes = 1')
    read = {"langs": ["python"], "default_excludes": False, "compressors": ["gzip"], "min_bytes": 1}
    assert read_config(config) == read
    for other in ('langs = ["python"]', "default_excludes = false"):
        config.write_text(config.read_text() + f"\n{other}")
        with pytest.raises(OptionError, match=f"{other.split()[0]} is given twice"):
            read_config(config)
        config.write_text(config.read_text().removesuffix(f"\n{other}"))


def test_fit_and_probe_take_the_same_file(place: Path, tmp_path: Path) -> None:
    fitted = pcdata("fit", "zstd", place / "code", "-o", tmp_path / "art", "--config", place / "odd.toml")
    assert "fitted; " in fitted.stderr
    probed = pcdata("probe", place / "code", "--config", place / "odd.toml", "--document-bytes", "100:", "-j1", "-q")
    assert probed.exit_code == 0, probed.output
    assert "small" in probed.stdout


def test_an_artifact_handed_in_is_named_where_it_lies_in_the_dataset(place: Path, tmp_path: Path) -> None:
    artifact = place / "shards" / "views" / "small" / "artifact"
    line = ["--val-fraction", 0.25, "-c", f"bpe:artifact={artifact}", "-q"]
    assert pcdata("build", place / "code", "-o", tmp_path / "one", *line).exit_code == 0
    config = tmp_path / "again.toml"
    config.write_text(render_config(tmp_path / "one"))
    assert str(tmp_path / "one" / "views" / "bpe" / "artifact") in config.read_text()
    assert pcdata("build", place / "code", "-o", tmp_path / "two", "--config", config, "-q").exit_code == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_lists_of_paths_and_parts_of_a_merge_are_comments(place: Path, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("package0/module6.py\n")
    line = ["--val-list", tmp_path / "val.txt", "-c", f"bpe:artifact={place / 'shards/views/small/artifact'}", "-q"]
    for name in ("a", "b"):
        write_code(tmp_path / name, 8)
        assert pcdata("build", tmp_path / name, "-o", tmp_path / f"{name}-shards", *line).exit_code == 0
    assert "# val_list = …, a file with the SHA-256 " in render_config(tmp_path / "a-shards")
    merged = pcdata("merge", tmp_path / "a-shards", tmp_path / "b-shards", "-o", tmp_path / "both", "-q")
    assert merged.exit_code == 0, merged.output
    assert "# merged from 2 datasets" in render_config(tmp_path / "both")
    tomllib.loads(render_config(tmp_path / "both"))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_text_comes_back_from_toml(texts: list[str]) -> None:
    assert tomllib.loads(f"key = {_toml(texts)}") == {"key": texts}


MISTAKES = [
    ("speed = 1", "unknown option speed; known: inputs, format, "),
    ("output = 'x'", "unknown option output; known: "),
    ("[build]\nlimit = 1", "unknown option build; known: "),
    ("limit = 'all'", "limit must be a whole number, got 'all'"),
    ("limit = true", "limit must be a whole number, got True"),
    ("limit = 1.5", "limit must be a whole number, got 1.5"),
    ("sample = '1'", "sample must be a number, got '1'"),
    ("strict = 1", "strict must be true or false, got 1"),
    ("langs = 'python'", "langs must be a list of texts, got 'python'"),
    ("compressors = [1]", "compressors must be a list of texts, got [1]"),
    ("val_list = 3", "val_list must be text, got 3"),
    ("limit =", "is not TOML: "),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(OptionError) as raised:
        read_config(config)
    assert str(raised.value).startswith(f"--config {config}")
    assert sentence in str(raised.value)


def test_mistakes_leave_by_the_usual_door(place: Path, tmp_path: Path) -> None:
    missing = pcdata("build", place / "code", "-o", tmp_path / "out", "--config", tmp_path / "none.toml")
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert "none.toml cannot be read" in missing.stderr
    (tmp_path / "bad.toml").write_text("val_fraction = 2")
    outside = pcdata("build", place / "code", "-o", tmp_path / "out", "--config", tmp_path / "bad.toml")
    assert (outside.exit_code, outside.stderr.count("\n")) == (1, 1)
    assert "--val-fraction must be at least 0 and below 1, got 2" in outside.stderr
    assert pcdata("build", "-o", tmp_path / "out").exit_code == 2
