"""``--help`` of both programs, and what all of their commands have in common."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import pcdata.cli
import pctrain.cli

ROOT = Path(__file__).parent.parent
GROUPS = {"pcdata": pcdata.cli.main, "pctrain": pctrain.cli.main}
SHARED = {"__init__", "options"}


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, and every group, with the words that call it."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = [one for name, group in GROUPS.items() for one in commands(group, (name,))]


@pytest.mark.parametrize("path", [path for path, command in COMMANDS if isinstance(command, click.Group)])
def test_no_summary_is_cut_off(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(GROUPS[path[0]], [*path[1:], "--help"])
    assert done.exit_code == 0
    summaries = done.stdout.partition("Commands:\n")[2].splitlines()
    assert summaries
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries), done.stdout


@pytest.mark.parametrize("package", GROUPS)
def test_every_command_has_a_file_of_its_own(package: str) -> None:
    group = GROUPS[package]
    names = {name.replace("-", "_") for name in group.list_commands(click.Context(group))}
    files = {path.stem for path in (ROOT / package / "commands").glob("*.py")}
    assert files - SHARED == names


def test_a_command_loads_no_other() -> None:
    program = "import sys; from pcdata.cli import main\ntry: main(['show', '--help'])\nexcept SystemExit: pass\n"
    program += "print(sorted(name for name in sys.modules if name.startswith('pcdata.commands.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str([f"pcdata.commands.{name}" for name in ("options", "show")])


ANSWERS = {"show", "config", "codecs", "methods", "presets", "settings"}
"""Commands that print what they were asked for, and neither progress nor a summary."""


@pytest.mark.parametrize("path", [path for path, command in COMMANDS if not isinstance(command, click.Group)])
def test_quiet_means_one_thing(path: tuple[str, ...]) -> None:
    help_text = " ".join(CliRunner().invoke(GROUPS[path[0]], [*path[1:], "--help"]).stdout.split())
    quiet = "-q, --quiet No progress and no summary; errors only."
    assert (quiet in help_text) == (path[-1] not in ANSWERS)
    assert ("--quiet" in help_text) == (path[-1] not in ANSWERS)


@pytest.mark.parametrize("path", [path for path, command in COMMANDS if isinstance(command, click.Group)])
def test_a_group_without_a_command_shows_its_help(path: tuple[str, ...]) -> None:
    program, *group = path
    run = CliRunner().invoke
    bare, asked = run(GROUPS[program], group), run(GROUPS[program], [*group, "--help"])
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert bare.stderr.rstrip() == asked.stdout.rstrip()
    assert "Commands:\n" in bare.stderr


@pytest.mark.parametrize(
    ("program", "given", "then"),
    [("pcdata", "biuld", "did you mean build?"), ("pctrain", "train", "known: fit, eval,")],
)
def test_a_misspelt_command_gets_a_suggestion(program: str, given: str, then: str) -> None:
    done = CliRunner().invoke(GROUPS[program], [given])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith(f"Error: No such command {given!r}; {then}")
