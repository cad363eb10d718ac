"""Options of a build: one owner each, found again in the help, in the part that they belong to, and in the manifest."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pcdata.building.options import BuildOptions, DatasetOptions
from pcdata.building.shaping import shaping
from pcdata.cli import main
from pcdata.errors import OptionError
from pcdata.options import flag_of, options_in
from pcdata.probing.options import ProbeOptions
from tests.building.corpora import write_code

OTHER: dict[str, Any] = {
    "format": "files",
    "text_key": "body",
    "dedup": "off",
    "val_by": "source",
    "engine": "ray",
    "ray_address": "auto",
    "sample": 0.5,
    "val_fraction": 0.5,
}
"""Values that are not the default, of options whose kind says none."""


def other(name: str, default: Any, folder: Path) -> Any:
    if default is None:
        return folder / "package0" / "module0.py"
    if isinstance(default, bool):
        return not default
    return OTHER.get(name) or (("a",) if default == () else default + 1000)


def found(options: Any, name: str) -> list[Any]:
    """The values of fields of that name, here or in a section."""
    here = [getattr(options, name)] if any(one.name == name for one in fields(options)) else []
    sections = [getattr(options, one.name) for one in fields(options) if isinstance(one.default_factory, type)]
    return here + [value for section in sections for value in found(section, name)]


def test_every_flat_option_is_in_one_part(tmp_path: Path) -> None:
    write_code(tmp_path, 1)
    given = {one.name: other(one.name, one.default, tmp_path) for _, one, _ in options_in(BuildOptions)}
    assert len(given) == 24
    options = BuildOptions.of([tmp_path], tmp_path / "out", **given)
    for _, one, _ in options_in(BuildOptions):
        assert given[one.name] != one.default
        assert found(options, one.name) == [given[one.name]]


@pytest.mark.parametrize("name", ["format", "dedup", "engine"])
@pytest.mark.parametrize("more", [":", ":1"])
def test_nothing_follows_a_choice(tmp_path: Path, name: str, more: str) -> None:
    """``--dedup exact:1`` must not mean off."""
    default = {one.name: one.default for _, one, _ in options_in(BuildOptions)}[name]
    with pytest.raises(OptionError, match=rf"--{name} must be one of .*, got '{default}{more}'"):
        BuildOptions.of([tmp_path], tmp_path / "out", **{name: default + more})


@pytest.mark.parametrize("name", ["include", "exclude", "keep", "langs", "text_key"])
def test_text_that_is_not_utf_8_makes_no_dataset(tmp_path: Path, name: str) -> None:
    """A dataset could not be opened whose manifest says that it was built with that."""
    odd = "caf\udce9"
    with pytest.raises(OptionError, match=r"'caf\\udce9' is not UTF-8; in a glob, \? stands for such a byte"):
        BuildOptions.of([tmp_path], tmp_path / "out", **{name: odd if name == "text_key" else ("é", odd)})


def test_flat_options_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="there is no option speed"):
        BuildOptions.of([tmp_path], tmp_path / "out", speed=1)
    with pytest.raises(TypeError, match="there is no option engine"):
        DatasetOptions.of([tmp_path], engine="process")
    with pytest.raises(OptionError, match=r"include must be a list of texts, such as \['\*\.py'\]"):
        BuildOptions.of([tmp_path], tmp_path / "out", include="*.py")
    assert DatasetOptions.of([tmp_path], include=["*.py"]).inputs.include == ("*.py",)


def test_what_shapes_a_dataset_is_recorded_in_the_order_of_format_1(tmp_path: Path) -> None:
    """Manifests are compared to the byte, and unfinished builds by what is written down of them."""
    write_code(tmp_path, 1)
    recorded = shaping(DatasetOptions.of([tmp_path]), {})
    assert recorded == {
        "inputs": [tmp_path.name],
        "format": "auto",
        "include": [],
        "exclude": [],
        "keep_binary": False,
        "text_key": "",
        "keep": [],
        "min_bytes": 0,
        "max_bytes": 0,
        "max_line_bytes": 0,
        "langs": [],
        "sample": 1.0,
        "limit": 0,
        "dedup": "exact",
        "val_fraction": 0.02,
        "val_by": "document",
        "val_list": None,
        "max_document_bytes": 262_144,
        "shard_bytes": 0,
        "fit_bytes": 16_000_000,
        "compressors": [],
    }
    given = {one.name: other(one.name, one.default, tmp_path) for _, one, _ in options_in(DatasetOptions)}
    others = shaping(DatasetOptions.of([tmp_path], **given), {})
    assert [key for key in others if key != "default_excludes"] == list(recorded)
    assert {key for key in recorded if others[key] == recorded[key]} == {"inputs", "compressors"}


JOBS = ("build a -o b", "fit bpe a -o b", "probe a", "add-view a", "merge a b -o c", "verify a")


@pytest.mark.parametrize("words", JOBS)
@pytest.mark.parametrize("workers", ["-1", "100001"])
def test_every_command_checks_its_workers(words: str, workers: str) -> None:
    done = CliRunner().invoke(main, [*words.split(), "-j", workers])
    assert (done.exit_code, done.stderr) == (1, f"error: --workers must be 0 … 100000, got {workers}\n")


@pytest.mark.parametrize(("command", "options"), [("build", BuildOptions), ("probe", ProbeOptions)])
def test_the_help_has_every_option_under_its_heading(command: str, options: type) -> None:
    shown = CliRunner().invoke(main, [command, "--help"]).stdout
    for section, one, known in options_in(options):
        if (command, one.name) == ("probe", "shard_bytes"):
            continue
        below = shown.partition(f"\n{section.section}:\n")[2].partition("\n\n")[0]  # type: ignore[attr-defined]
        mine = re.split(rf"{flag_of(one)}\s", below)[1].partition("\n  -")[0]
        assert " ".join(known.help.split())[:30] in " ".join(mine.split()), one.name
        assert f"[{'|'.join(known.choices)}]" in mine or not known.choices
    assert shown.rindex("\nOptions:\n") > shown.index("\nRunning:\n")
