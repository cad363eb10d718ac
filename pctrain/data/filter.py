"""Which documents are read, by their metadata: ``data.where``."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdata.dataset import Split, schema
from pcdata.dataset.columns import BaseColumns


class Filter:
    """Documents whose every named column matches one of its globs. Case matters, except in lang."""

    def __init__(self, where: Mapping[str, Sequence[str]]) -> None:
        """``where`` as in ``DataConfig``."""
        self.where = where
        self._patterns = {column: _pattern(column, globs) for column, globs in where.items()}

    def rows(self, base: BaseColumns) -> NDArray[np.bool_]:
        """Which documents of a block are read; a new array."""
        kept = np.ones(len(base), bool)
        for column, pattern in self._patterns.items():
            values = base.metadata[column].to_pylist()
            kept &= [pattern.match(_text(value)) is not None for value in values]
        return kept

    def numbers(self, split: Split) -> NDArray[np.intp]:
        """Which documents of a split are read, by number; a new array."""
        if not self:
            return np.arange(split.n_documents)
        return np.flatnonzero(np.concatenate([self.rows(split.base(block)) for block in range(split.n_blocks)]))

    def nothing_in(self, split: Split) -> str:
        """The error message for a split in which no document matches."""
        folder, languages = split.dataset.folder, split.dataset.manifest.base.languages
        return (
            f"no document of the {split.name} split of {folder} has {self}; the dataset has the languages "
            f"{', '.join(languages) or '(none)'}, and pcdata show prints a document's path and source"
        )

    def __bool__(self) -> bool:
        """Whether it may skip any documents."""
        return bool(self.where)

    def __str__(self) -> str:
        return " and ".join(f"{column} like {' or '.join(globs)}" for column, globs in self.where.items())


def _pattern(column: str, globs: Sequence[str]) -> re.Pattern[str]:
    anywhere = "|".join(fnmatch.translate(glob) for glob in globs)
    return re.compile(anywhere, re.IGNORECASE if column == schema.LANG else 0)


def _text(value: Any) -> str:
    """Paths are bytes, and may not be valid text."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
