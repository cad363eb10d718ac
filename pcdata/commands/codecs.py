"""``pcdata codecs``: the available compressors."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pcdata.completion import complete_codec_name
from pcdata.shared_options import JSON
from pcdata.terminal import answer, safe

if TYPE_CHECKING:
    from pcdata.codecs.described import Option

_COLUMNS = 100


@click.command()
@click.argument("names", nargs=-1, metavar="[CODEC]...", shell_complete=complete_codec_name)
@JSON
def codecs(names: tuple[str, ...], as_json: bool) -> None:
    """List the compressors and their options, with defaults.

    The list includes those of other packages. Fitted ones learn from a sample of the documents. Use one with
    --compressor CODEC:OPTION=VALUE,OPTION=VALUE.
    """
    from pcdata.codecs.base import codec_names
    from pcdata.codecs.described import COMMON, described
    from pcdata.errors import OptionError

    listed: list[dict[str, Any]] = []
    lines: list[str] = []
    for name in names or codec_names():
        try:
            found = described(name)
        except OptionError as error:
            if names:
                raise
            listed.append({"name": name, "fault": str(error)})
            lines += [safe(name), *_wrapped(str(error)), ""]
            continue
        listed.append(asdict(found))
        heading = f"{safe(name)}{' (fitted)' if found.fitted else ''}"
        lines += [heading, *_wrapped(found.summary), *_options(found.options), ""]
    lines += ["every compressor also takes", *_options(COMMON)]
    answer(json.dumps(listed, indent=1) if as_json else "\n".join(lines))


def _options(options: Sequence[Option]) -> Iterator[str]:
    """One line each, or more if the meaning is long."""
    shown = [(f"{option.name}={_shown(option.default)}", option.meaning) for option in options]
    width = max((len(text) for text, _ in shown), default=0)
    for text, meaning in shown:
        yield from _wrapped(meaning, f"  {safe(text):<{width}}   ")


def _shown(default: Any) -> str:
    """As written in ``--compressor``."""
    return "…" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _wrapped(text: str, begins: str = "  ") -> list[str]:
    wrapped = textwrap.wrap(safe(text), _COLUMNS - len(begins)) or [""]
    return [((begins if not number else " " * len(begins)) + line).rstrip() for number, line in enumerate(wrapped)]
