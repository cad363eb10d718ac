"""What a person who chooses a codec is told of it: the first sentence of its docstring, and of that of each option."""

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
    """One of ``--compressor CODEC:NAME=VALUE``."""

    name: str
    type: str
    default: Any
    meaning: str
    """Empty where the codec says nothing, or its source is not installed."""


COMMON = (
    Option("name", "str", None, "Of the view; by default the compressor's."),
    Option("artifact", "str", None, "What it was fitted to, a file or folder: nothing is fitted then."),
    Option("ids", "str", "own", "own; or raw, to share the ids of raw bytes where symbols are bytes."),
)
"""What every codec takes."""


@dataclass(frozen=True)
class Description:
    """A codec."""

    name: str
    summary: str
    fitted: bool
    """Whether it is fitted to a sample, with its options as they are by default."""
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
    """The first sentence of the string under each field of a dataclass. Python keeps these in the source alone."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):  # it was made without a source
        return {}
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: first_sentence(doc.value.value)
        for field, doc in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant) and isinstance(doc.value.value, str)
    }


def first_sentence(doc: str) -> str:
    """Without line ends and the marks of code."""
    text = " ".join(doc.split()).replace("``", "")
    return re.split(r"(?<=[.]) ", text, maxsplit=1)[0]
