"""Arguments and options that several commands have. Those of a build are read off the dataclasses that own them."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Container
from dataclasses import Field
from pathlib import Path
from typing import Any

import click

from pcdata.building.engines.options import EngineOptions
from pcdata.building.options import DatasetOptions
from pcdata.completion import complete_codec, complete_language
from pcdata.options import Option as OptionText
from pcdata.options import check_option, flag_of, options_in
from pcdata.sections import Choice, Option

PATH = click.Path(path_type=Path)


def _expanded(context: click.Context, argument: click.Parameter, inputs: tuple[Path, ...]) -> tuple[Path, ...]:
    """Those of the command line, else of ``--config``. Globs that the shell left alone are expanded; what matches
    nothing is left, to be refused by its name."""
    inputs = inputs or tuple(map(Path, context.lookup_default("inputs") or ()))
    if not inputs:
        raise click.MissingParameter(ctx=context, param=argument)
    return tuple(
        found
        for path in inputs
        for found in ([path] if path.exists() else sorted(map(Path, glob.glob(str(path)))) or [path])  # noqa: PTH207
    )


INPUTS = click.argument(
    "inputs", nargs=-1, metavar="INPUTS...", type=click.Path(path_type=Path, allow_dash=True), callback=_expanded
)
DATASET = click.argument("dataset", type=PATH)


def output_of(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The folder that a command writes."""
    return click.option(
        "-o", "--output", type=PATH, required=True, cls=Option, section="Output", help=f"Folder of the {what}."
    )


COMPRESSORS = click.option(
    "--compressor",
    "-c",
    "compressors",
    multiple=True,
    metavar="CODEC[:OPTION=VALUE,…]",
    shell_complete=complete_codec,
    cls=Option,
    section="Views",
    help="A compressed view: zstd, gzip, bpe, … May be repeated. Example: bpe:vocab_size=4096,name=small",
)
PLOT = click.option("--plot", type=PATH, help="Draw a figure: .png, .pdf or .svg; one that is there is replaced.")


def _with_config(context: click.Context, option: click.Parameter, file: Path | None) -> None:
    """What a file says takes the place of the options' defaults, so that the command line goes before it."""
    if file is not None:
        from pcdata.building.config_file import read_config

        context.default_map = {**(context.default_map or {}), **read_config(file)}


CONFIG = click.option(
    "--config",
    type=PATH,
    is_eager=True,
    expose_value=False,
    callback=_with_config,
    help="A TOML file of options, as pcdata config prints; those given here go before it.",
)

_COMPLETES: dict[str, Any] = {"langs": complete_language}


def options_of(kind: type, leave_out: Container[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a dataclass as those of a command, under the headings of its sections."""

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        for section, field, known in reversed([*options_in(kind)]):
            if field.name not in leave_out:
                command = _click_option(section, field, known)(command)
        return command

    return added


def _click_option(section: Any, field: Field[Any], known: OptionText) -> Callable[..., Any]:
    def checked(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        """Here too, for a command may take an option without the dataclass that it is from."""
        check_option(field, value)
        return value

    spellings = [flag_of(field), *([known.short] if known.short else []), field.name]
    shown = {"section": section.section, "help": known.help, "metavar": known.metavar}
    given: dict[str, Any] = {"default": field.default}
    match field.default:
        case False:
            given["is_flag"] = True
        case True:
            given["flag_value"] = False
        case ():
            given = {"multiple": True}
        case None:
            given["type"] = PATH
        case default:
            given["show_default"] = bool(default)
    if known.choices:
        given["type"] = Choice(known.choices)
    if field.name in _COMPLETES:
        given["shell_complete"] = _COMPLETES[field.name]
    return click.option(*spellings, cls=Option, callback=checked, **shown, **given)


input_options = options_of(DatasetOptions, leave_out=("shard_bytes",))
"""Without what decides how a dataset lies on the disk."""

WORKERS = options_of(EngineOptions, leave_out=("engine", "ray_address"))


def parse_span(context: click.Context, option: click.Parameter, span: str | None) -> tuple[int, int] | None:
    if span is None:
        return None
    first, colon, end = span.partition(":")
    if not colon or not (first + end).isdecimal():
        raise click.BadParameter(f"expected A:B, two numbers, got {span!r}")
    return int(first or 0), int(end or sys.maxsize)
