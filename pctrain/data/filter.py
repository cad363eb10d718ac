"""Which documents are read, by their metadata: ``data.where``."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.views import BaseColumns


class Filter:
    """Documents of which every named column matches one of its globs. Case matters, but not in lang."""

    def __init__(self, where: Mapping[str, Sequence[str]]) -> None:
        """``where`` as in ``DataConfig``."""
        self._where = where
        self._patterns = {column: _pattern(column, globs) for column, globs in where.items()}

    def rows(self, base: BaseColumns) -> NDArray[np.bool_]:
        """Which documents of a block are read; a new array."""
        kept = np.ones(len(base), bool)
        for column, pattern in self._patterns.items():
            values = base.batch.column(column).to_pylist()
            kept &= [pattern.match(_text(value)) is not None for value in values]
        return kept

    def __bool__(self) -> bool:
        """Whether it may leave out any."""
        return bool(self._where)

    def __str__(self) -> str:
        return " and ".join(f"{column} like {' or '.join(globs)}" for column, globs in self._where.items())


def _pattern(column: str, globs: Sequence[str]) -> re.Pattern[str]:
    anywhere = "|".join(fnmatch.translate(glob) for glob in globs)
    return re.compile(anywhere, re.IGNORECASE if column == schema.LANG else 0)


def _text(value: Any) -> str:
    """Paths are bytes, and need not be text."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
