"""What tools made in a folder, and datasets and runs, are passed over and counted, unless they are asked for."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcdata.building.build import build
from pcdata.building.config_file import render_config
from pcdata.building.progress import Reporter
from pcdata.dataset.manifest import load_manifest
from pcdata.inputs import passed_over
from pcdata.inputs.options import InputOptions
from pcdata.inputs.passed_over import reason_to_pass_over
from pcdata.inputs.sources import Entry, Skipped, find_entries
from tests.building.corpora import assert_same_tree, options, write_code
from tests.command_lines import pcdata

MARKED = {
    "run of pctrain": ("config.json", "metrics.jsonl"),
    "virtual environment": ("pyvenv.cfg",),
    "cache": ("CACHEDIR.TAG",),
    "unfinished build of pcdata": (".build/options.json", ".build/inputs/00000.json"),
}


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"name = {name!r}\n")


def found(folder: Path, **more: object) -> tuple[list[bytes], list[tuple[bytes, str]]]:
    entries = [*find_entries(InputOptions((folder,), **more))]
    skipped = [(one.relative, one.reason) for one in entries if isinstance(one, Skipped)]
    return [one.relative for one in entries if isinstance(one, Entry)], skipped


@pytest.mark.parametrize("name", sorted(name.decode() for name in passed_over._MADE_BY_TOOLS))
def test_a_folder_that_tools_make_is_passed_over_by_its_name(name: str, tmp_path: Path) -> None:
    write(tmp_path / "in", "a.py", f"sub/{name}/b.py")
    passed = f"sub/{name}/".encode(), f"folder {name}"
    assert found(tmp_path / "in") == ([b"a.py"], [passed])
    assert found(tmp_path / "in", include=("*.py", name, f"sub/{name}/*")) == ([b"a.py"], [passed])
    assert len(found(tmp_path / "in", default_excludes=False)[0]) == 2
    assert found(tmp_path / "in" / "sub" / name) == ([b"b.py"], [])


def test_a_python_package_and_a_file_may_have_such_a_name(tmp_path: Path) -> None:
    write(tmp_path / "in", "venv/__init__.py", "sub/dist", "sub/target.py", "distance/a.py", "build/b.py", "Dist/c.py")
    entries, skipped = found(tmp_path / "in")
    assert (len(entries), skipped) == (6, [])


@pytest.mark.parametrize("what", MARKED)
def test_others_are_known_by_what_is_in_them(what: str, tmp_path: Path) -> None:
    write(tmp_path / "in", "a.py", "x/other.py", *(f"x/{name}" for name in MARKED[what]))
    assert found(tmp_path / "in") == ([b"a.py"], [(b"x/", what)])
    assert len(found(tmp_path / "in" / "x")[0]) == 1 + len(MARKED[what])
    assert len(found(tmp_path / "in", default_excludes=False)[0]) == 2 + len(MARKED[what])
    (tmp_path / "in" / "x" / MARKED[what][0]).unlink()
    assert found(tmp_path / "in")[1] == []


def test_version_control_is_passed_over_as_ever(tmp_path: Path) -> None:
    write(tmp_path / "in", "a.py", ".git/HEAD", "__pycache__/x.pyc")
    assert found(tmp_path / "in") == ([b"a.py"], [(b".git/", "excluded"), (b"__pycache__/", "excluded")])
    assert len(found(tmp_path / "in", default_excludes=False)[0]) == 3


def test_a_dataset_is_no_input_of_the_next(tmp_path: Path) -> None:
    """Nor one of which only the name of the manifest is the same."""
    write_code(tmp_path / "code")
    line = "-j1", "--val-fraction", "0"
    assert pcdata("build", tmp_path / "code", "-o", tmp_path / "code" / "out", "-q", *line).exit_code == 0
    done = pcdata("build", tmp_path / "code", "-o", tmp_path / "other", *line)
    assert "rejected: 1 (dataset of pcdata 1); see rejects.jsonl" in done.stderr
    (reject,) = map(json.loads, (tmp_path / "other" / "rejects.jsonl").read_text().splitlines())
    assert "--no-default-excludes takes it" in reject["detail"]
    assert load_manifest(tmp_path / "other").base == load_manifest(tmp_path / "code" / "out").base
    write(tmp_path / "in", "a/manifest.json", "b/manifest.json/x")
    assert len(found(tmp_path / "in")[0]) == 2


def test_the_option_is_one_of_the_dataset(tmp_path: Path) -> None:
    write_code(tmp_path / "in")
    write(tmp_path / "in", "dist/b.py")
    line = ["build", tmp_path / "in", "-q", "-j1", "--val-fraction", "0"]
    assert pcdata(*line, "-o", tmp_path / "one", "--no-default-excludes").exit_code == 0
    assert "default_excludes = false" in render_config(tmp_path / "one")
    (tmp_path / "again.toml").write_text(render_config(tmp_path / "one"))
    assert pcdata(*line, "-o", tmp_path / "two", "--config", tmp_path / "again.toml").exit_code == 0
    assert_same_tree(tmp_path / "one", tmp_path / "two")
    assert pcdata(*line, "-o", tmp_path / "three").exit_code == 0
    assert "default_excludes" not in render_config(tmp_path / "three")
    assert load_manifest(tmp_path / "three").rejects == {"folder dist": 1}
    done = pcdata(*line, "-o", tmp_path / "one")
    assert done.exit_code == 1
    assert "other default_excludes" in done.stderr


def test_archives_in_a_folder_say_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder, "a.py")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(folder / "a.py")
    for kind in ("gz", "bz2", "xz"):
        with tarfile.open(folder / f"a.tar.{kind}", f"w:{kind}") as archive:  # type: ignore[call-overload]
            archive.add(folder / "a.py")
    (folder / "a.7z").write_bytes(b"7z\xbc\xaf")
    pq.write_table(pa.table({"text": ["x"]}), folder / "a.parquet")
    build(options(folder, tmp_path / "out", val_fraction=0.0, strict=True), Reporter())
    rejects = {
        one["file"]: one for one in map(json.loads, (tmp_path / "out" / "rejects.jsonl").read_text().splitlines())
    }
    assert {name: reject["reason"] for name, reject in rejects.items()} == {
        **dict.fromkeys(("a.7z", "a.zip", "a.tar.bz2", "a.tar.xz"), "archive"),
        **dict.fromkeys(("a.tar.gz", "a.parquet"), "file of records"),
    }
    assert "unpack it, and name the folder" in rejects["a.zip"]["detail"]
    assert "--format tar" in rejects["a.tar.gz"]["detail"]
    assert "--format parquet" in rejects["a.parquet"]["detail"]


def test_an_input_of_nothing_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = pcdata("build", tmp_path / "in", "-o", tmp_path / "out", "-j1")
    assert (done.exit_code, done.stderr) == (
        1,
        f"error: {tmp_path / 'in'}: no files there, so nothing to build; name a folder with files in it\n",
    )
    write(tmp_path / "in", "dist/a.py")
    done = pcdata("build", tmp_path / "in", "-o", tmp_path / "out", "-j1")
    assert done.exit_code == 1
    assert "the only input was refused: dist/: folder dist (a tool made it" in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_was_always_passed_over_is_said_in_the_words_that_are_in_datasets(tmp_path: Path) -> None:
    """They are in ``rejects.jsonl`` and in the digest of the inputs: with others, a dataset that is there would not be
    known again."""
    for name in ("__pycache__", ".git"):
        (tmp_path / "in" / name).mkdir(parents=True)
        assert reason_to_pass_over(bytes(tmp_path / "in" / name)) == ("excluded", "holds no documents, by its name")
