"""``pctrain settings``: every setting of a run."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from pcdata.errors import meant
from pcdata.terminal import answer
from pctrain.commands.options import preset_option
from pctrain.completion import complete_section
from pctrain.config import SETTINGS, RunConfig, resolve
from pctrain.errors import ConfigError

_COLUMNS = 100


@click.command()
@click.argument("sections", nargs=-1, metavar="[SECTION]...", shell_complete=complete_section)
@preset_option("none: the defaults")
def settings(sections: tuple[str, ...], preset: str | None) -> None:
    """List the settings of a run, with values and meaning.

    Prints TOML, which --config reads. Sections: data, mixture, model, train, optim, runtime, log, eval, checkpoint, and
    those of methods: superposition, boundaries, alignment, patched.
    """
    known = [section.name for section in dataclasses.fields(RunConfig)]
    for name in sections:
        if name not in known:
            raise ConfigError(f"there is no section {name!r}; {meant(name, known)}")
    config = resolve(preset, None, [])
    lines = [line for name in sections or known for line in _section(name, getattr(config, name))]
    answer("\n".join(lines).rstrip())


def _section(name: str, section: Any) -> Iterator[str]:
    from pcdata.field_docs import field_docs, in_one_line

    yield from _comment(in_one_line((type(section).__doc__ or "").split("\n\n")[0]))
    yield f"[{name}]"
    docs = field_docs(type(section))
    for key, value in dataclasses.asdict(section).items():
        rule = SETTINGS[f"{name}.{key}"]
        fixed = "A resume may not change it." if rule.fixed else ""
        allowed = f"{rule.allowed[0].upper()}{rule.allowed[1:]}." if rule.allowed else ""
        yield from _comment(" ".join(filter(None, [docs.get(key), allowed, fixed])))
        yield f"{key} = {_toml(value)}\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f'"{name}" = {_toml(item)}' for name, item in value.items()) + "}"
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
    return repr(value)
