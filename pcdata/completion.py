"""Completion of the options of ``pcdata``."""

from __future__ import annotations

import glob
import typing
from pathlib import Path

import click

from pcdata.shell import beginning


def complete_codec(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """``CODEC:OPTION=VALUE,…``: the codecs, then the options of one, then the values of an option."""
    from pcdata.codecs.base import codec_names

    codec, colon, _ = begun.partition(":")
    names = codec_names()
    if not colon or codec not in names:
        return beginning(names, begun)
    last = begun.rpartition("," if "," in begun else ":")[2]
    head = begun.removesuffix(last)
    key, equals, value = last.partition("=")
    given = [option.partition("=")[0] for option in head.partition(":")[2].split(",")]
    if not equals:
        return beginning((f"{head}{name}=" for name in _kinds(codec) if name not in given), begun)
    return [f"{head}{key}={found}" for found in _values(codec, key, value)]


def complete_codec_name(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    from pcdata.codecs.base import codec_names

    return beginning(codec_names(), begun)


def _kinds(codec: str) -> dict[str, type]:
    """The options of a codec, and those that all codecs have."""
    from pcdata.codecs.base import codec_class
    from pcdata.errors import OptionError

    try:
        own = typing.get_type_hints(codec_class(codec).Parameters)
    except OptionError:  # a codec that cannot be loaded: the command will report it
        own = {}
    return {**own, "name": str, "ids": str, "artifact": Path}


def _values(codec: str, key: str, begun: str) -> list[str]:
    kind = _kinds(codec).get(key)
    if key == "ids":
        return beginning(("own", "raw"), begun)
    if kind is bool:
        return beginning(("true", "false"), begun)
    if kind is not Path:
        return []
    return sorted(glob.glob(f"{glob.escape(begun)}*"))  # noqa: PTH207  # starts as typed, which Path("./a") does not


def complete_language(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    from pcdata.inputs.languages import languages

    return beginning(languages(), begun)
