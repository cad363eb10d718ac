"""What the source says of a dataclass and its fields, for users: docstrings, and the strings under fields."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from itertools import pairwise


def field_docs(cls: type) -> dict[str, str]:
    """The string under each field of a dataclass, which only the source contains."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):  # the class has no source
        return {}
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: in_one_line(doc.value.value)
        for field, doc in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant) and isinstance(doc.value.value, str)
    }


def in_one_line(doc: str) -> str:
    """Without line ends and code marks."""
    return " ".join(doc.split()).replace("``", "")


def first_sentence(doc: str) -> str:
    return re.split(r"(?<=[.]) ", in_one_line(doc), maxsplit=1)[0]
