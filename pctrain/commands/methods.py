"""``pctrain methods``: the training methods and their settings."""

from __future__ import annotations

import json
from textwrap import wrap

import click

from pcdata.errors import meant
from pcdata.shared_options import JSON
from pcdata.shell import among
from pcdata.terminal import answer
from pctrain.errors import ConfigError
from pctrain.method_presets import METHODS

_COLUMNS = 80


@click.command()
@click.argument("name", required=False, shell_complete=among(*METHODS))
@JSON
def methods(name: str | None, as_json: bool) -> None:
    """List the training methods, or print the settings of one."""
    if name is not None and name not in METHODS:
        raise ConfigError(f"unknown method {name!r}; {meant(name, METHODS)}")
    chosen = {each: method for each, method in METHODS.items() if name in (None, each)}
    if as_json:
        found = [
            {"name": each, "summary": method.summary, "settings": dict(method.settings)}
            for each, method in chosen.items()
        ]
        answer(json.dumps(found, indent=1))
    elif name is not None:
        answer("\n".join(f"{key}={json.dumps(value)}" for key, value in METHODS[name].settings.items()))
    else:
        answer("\n".join(line for each, method in chosen.items() for line in _lines(each, method.summary)))


def _lines(name: str, summary: str) -> list[str]:
    width = max(map(len, METHODS)) + 2
    first, *more = wrap(summary, _COLUMNS - width)
    return [f"{name:<{width}}{first}", *(f"{'':<{width}}{line}" for line in more)]
