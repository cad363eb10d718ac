"""Descriptions of codecs for users: the first sentence of a codec's docstring, and of each option's."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any

from pcdata.codecs.base import codec_class
from pcdata.field_docs import field_docs, first_sentence


@dataclass(frozen=True)
class Option:
    """An option of ``--compressor CODEC:NAME=VALUE``."""

    name: str
    type: str
    default: Any
    meaning: str
    """Empty if the codec has no docstring, or its source is not installed."""


COMMON = (
    Option("name", "str", None, "Name of the view; by default the compressor's."),
    Option("artifact", "str", None, "File or folder of an existing artifact, instead of fitting."),
    Option("ids", "str", "own", "own; or raw, to share the ids of raw bytes where symbols are bytes."),
)
"""Options of every codec."""


@dataclass(frozen=True)
class Description:
    name: str
    summary: str
    fitted: bool
    """Whether it is fitted to a sample with its default options."""
    options: tuple[Option, ...]


def described(name: str) -> Description:
    """Raises ``OptionError`` for a codec that is not installed, or cannot be loaded."""
    cls = codec_class(name)
    hints = typing.get_type_hints(cls.Parameters)
    meanings = field_docs(cls.Parameters)
    options = tuple(
        Option(field.name, hints[field.name].__name__, field.default, first_sentence(meanings.get(field.name, "")))
        for field in dataclasses.fields(cls.Parameters)
    )
    return Description(name, first_sentence(cls.__doc__ or ""), cls.is_fitted(cls.Parameters()), options)
