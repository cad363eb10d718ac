"""What is known of a document beside its bytes: its path, language, source and kept fields."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pcdata.dataset.block import Metadata
from pcdata.inputs.base import MAX_RECORD_BYTES, Fault, Record, too_large
from pcdata.inputs.file_names import printable
from pcdata.inputs.languages import FIRST_LINE_BYTES, language_of
from pcdata.inputs.options import InputOptions
from pcdata.inputs.sources import Entry

PATH_KEYS = ("path", "file_path", "filepath", "filename", "max_stars_repo_path")
LANG_KEYS = ("lang", "language", "programming_language")
SOURCE_KEYS = ("source", "repo", "repo_name", "repository_name", "max_stars_repo_name")
"""Under which names The Stack, StarCoder data, stack-edu and others say what ``Metadata`` wants to know."""

NESTED = "metadata"
"""Where datatrove puts all fields but the text. A record's own come first."""

_MAX_LANG_BYTES = 1_000
"""Of a language's name, which the manifest lists."""


def fields_wanted(options: InputOptions) -> frozenset[str]:
    """The fields of records that are looked at, besides the text."""
    kept = (column.name for column in options.kept_columns)
    return frozenset((*PATH_KEYS, *LANG_KEYS, *SOURCE_KEYS, NESTED, *kept))


def file_metadata(options: InputOptions, entry: Entry, file: io.FileIO) -> Metadata:
    """Every part of a file has the language of its beginning."""
    nothing = (None,) * len(options.kept_columns)
    language = language_of(entry.relative, os.pread(file.fileno(), FIRST_LINE_BYTES, 0))
    return Metadata(entry.relative, language, options.source_names[entry.root], nothing)


def record_metadata(options: InputOptions, entry: Entry, record: Record, position: int) -> Metadata | Fault:
    """What a record says of itself; else its file and position, and the language of its path or ``#!`` line."""
    fields = record.fields
    path = _first_text(fields, PATH_KEYS)
    path_bytes = path.encode("utf-8", "backslashreplace") if isinstance(path, str) else path
    lang = _first_text(fields, LANG_KEYS) or language_of(path_bytes or b"", record.raw)
    source = _first_text(fields, SOURCE_KEYS) or options.source_names[entry.root]
    kept = []
    for column in options.kept_columns:
        value = next((scope[column.name] for scope in _scopes(fields) if scope.get(column.name) is not None), None)
        try:
            kept.append(column.converted(value))
        except RecursionError:
            return Fault("kept column", f"{column.name!r} is nested too deeply")
        except (ValueError, TypeError, OverflowError) as error:
            return Fault("kept column", f"{column.name!r} is no {column.type}: {error}")
    if len(lang) > _MAX_LANG_BYTES:
        return Fault("odd value", f"its language has a name of {len(lang):,} bytes, which none has")
    path_bytes = path_bytes or entry.relative + b":%d" % position
    metadata = Metadata(path_bytes, _clean(lang), _clean(source), tuple(kept))
    return metadata if metadata.size <= MAX_RECORD_BYTES else too_large(metadata.size)


def _scopes(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield fields
    if isinstance(nested := fields.get(NESTED), Mapping):
        yield nested


def _first_text(fields: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next(
        (scope[key] for scope in _scopes(fields) for key in keys if isinstance(scope.get(key), str | bytes)), None
    )


def _clean(text: str | bytes) -> str:
    """Without lone surrogates, which no column of text can hold."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else printable(text)
