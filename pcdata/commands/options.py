"""Arguments and options shared by several commands. Options of a build come from the dataclasses that own them."""

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
    """The inputs of the command line, else of ``--config``. Globs that the shell did not expand are expanded here; one
    that matches nothing remains, to be reported by name."""
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
    """The option for the folder that a command writes."""
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
    help="Compressed view: zstd, gzip, bpe, …; may be repeated. Example: bpe:vocab_size=4096,name=small",
)
PLOT = click.option("--plot", type=PATH, help="Figure to draw: .png, .pdf or .svg; an existing one is replaced.")


def _with_config(context: click.Context, option: click.Parameter, file: Path | None) -> None:
    """Use the file's values as the options' defaults, so that the command line overrides them."""
    if file is not None:
        from pcdata.building.config_file import read_config

        context.default_map = {**(context.default_map or {}), **read_config(file)}


CONFIG = click.option(
    "--config",
    type=PATH,
    is_eager=True,
    expose_value=False,
    callback=_with_config,
    help="TOML file of options, as pcdata config prints; the command line overrides it.",
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
"""Without the options for the files of a dataset."""

WORKERS = options_of(EngineOptions, leave_out=("engine", "ray_address"))


def parse_span(context: click.Context, option: click.Parameter, span: str | None) -> tuple[int, int] | None:
    if span is None:
        return None
    first, colon, end = span.partition(":")
    if not colon or not (first + end).isdecimal():
        raise click.BadParameter(f"expected A:B, two numbers, got {span!r}")
    return int(first or 0), int(end or sys.maxsize)
