"""Arguments and options that several commands have."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable
from pathlib import Path

import click

from pcdata.completion import complete_codec, complete_language
from pcdata.shell import among


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
DATASET = click.argument("dataset", type=click.Path(path_type=Path))
COMPRESSORS = click.option(
    "--compressor",
    "-c",
    "compressors",
    multiple=True,
    metavar="CODEC[:OPTION=VALUE,…]",
    shell_complete=complete_codec,
    help="A compressed view: zstd, gzip, bpe, … May be repeated. Example: bpe:vocab_size=4096,name=small",
)
WORKERS = click.option("--workers", "-j", type=int, default=0, help="Tasks at once; default: one per core.")
PLOT = click.option(
    "--plot",
    type=click.Path(path_type=Path),
    default=None,
    help="Draw a figure: .png, .pdf or .svg; one that is there is replaced.",
)


def _with_config(context: click.Context, option: click.Parameter, file: Path | None) -> None:
    """What a file says takes the place of the options' defaults, so that the command line goes before it."""
    if file is not None:
        from pcdata.building.config_file import read_config

        context.default_map = {**(context.default_map or {}), **read_config(file)}


_INPUT_OPTIONS = (
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_with_config,
        help="A TOML file of options, as pcdata config prints; those given here go before it.",
    ),
    click.option(
        "--format",
        default="auto",
        shell_complete=among("auto", "files", "jsonl", "parquet", "arrow", "tar"),
        help="auto, files, jsonl, parquet, arrow or tar; see the README.",
    ),
    click.option("--include", multiple=True, metavar="GLOB", help="Take only files that match; may be repeated."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Pass over files and folders that match."),
    click.option(
        "--no-default-excludes",
        "default_excludes",
        flag_value=False,
        default=True,
        help="Also take folders inside of INPUTS that tools made (.git, .venv, node_modules, dist, target, caches), "
        "datasets and runs, which --include does not bring back.",
    ),
    click.option("--keep-binary", is_flag=True, help="Take files that have a NUL among their first 8000 bytes."),
    click.option("--text-key", default="", help="The key of a record's text; default: text, content or code."),
    click.option(
        "--keep", multiple=True, metavar="COLUMN[:TYPE]", help="Carry a record's field through to the dataset."
    ),
    click.option("--min-bytes", default=0, help="Leave out documents with fewer bytes."),
    click.option("--max-bytes", default=0, help="Leave out documents with more bytes."),
    click.option("--max-line-bytes", default=0, help="Leave out documents with a longer line."),
    click.option(
        "--lang",
        "langs",
        multiple=True,
        shell_complete=complete_language,
        help="Take only documents in this language; may be repeated.",
    ),
    click.option(
        "--dedup",
        default="exact",
        show_default=True,
        shell_complete=among("exact", "off"),
        help="exact: the first of equal documents; or off.",
    ),
    click.option("--sample", default=1.0, help="Share of the documents to take, drawn by content."),
    click.option("--limit", default=0, help="How many documents to take, the first ones; one that is cut counts once."),
    click.option("--val-fraction", default=0.02, show_default=True, help="Share of documents drawn into val; 0: none."),
    click.option(
        "--val-by",
        default="document",
        show_default=True,
        shell_complete=among("document", "source", "path-prefix"),
        help="Draw each document, source, or path-prefix[:N].",
    ),
    click.option("--val-list", type=click.Path(path_type=Path), help="A file of the paths that are val, one a line."),
    click.option("--max-document-bytes", default=262_144, show_default=True, help="Longer ones are cut, at line ends."),
    click.option("--fit-bytes", default=16_000_000, show_default=True, help="Raw bytes that codecs are fitted on."),
    click.option("--strict", is_flag=True, help="Stop at a record that cannot be read, instead of counting it."),
)
"""What shapes the documents, their split and the sample: the same for ``build`` and ``fit``."""


def input_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_INPUT_OPTIONS):
        command = option(command)
    return command


def parse_span(context: click.Context, option: click.Parameter, span: str | None) -> tuple[int, int] | None:
    if span is None:
        return None
    first, colon, end = span.partition(":")
    if not colon or not (first + end).isdecimal():
        raise click.BadParameter(f"expected A:B, two numbers, got {span!r}")
    return int(first or 0), int(end or sys.maxsize)
