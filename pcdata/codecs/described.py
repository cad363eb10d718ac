"""Descriptions of codecs for users: the first sentence of a codec's docstring, and of each option's."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pcdata.codecs.base import codec_class


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
        Option(field.name, hints[field.name].__name__, field.default, meanings.get(field.name, ""))
        for field in dataclasses.fields(cls.Parameters)
    )
    return Description(name, first_sentence(cls.__doc__ or ""), cls.is_fitted(cls.Parameters()), options)


def field_docs(cls: type) -> dict[str, str]:
    """The first sentence of the string under each field of a dataclass, which only the source contains."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):  # the class has no source
        return {}
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: first_sentence(doc.value.value)
        for field, doc in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant) and isinstance(doc.value.value, str)
    }


def first_sentence(doc: str) -> str:
    """Without line ends and code marks."""
    text = " ".join(doc.split()).replace("``", "")
    return re.split(r"(?<=[.]) ", text, maxsplit=1)[0]
