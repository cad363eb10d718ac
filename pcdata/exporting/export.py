"""``pcdata export-docs``: choose the format and write; the result appears when it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from pcdata.dataset import Dataset
from pcdata.dataset.files import appearing
from pcdata.errors import OptionError
from pcdata.exporting.folder import FolderWriter
from pcdata.exporting.records import JsonlWriter, ParquetWriter
from pcdata.exporting.whole import Choice, Writer, whole_documents
from pcdata.terminal import Data

STDOUT = Path("-")

_JSONL: Final = {".jsonl": None, ".jsonl.gz": "gzip", ".jsonl.zst": "zstd"}
_PARQUET: Final = ".parquet"
_OTHER_FILES: Final = (".json", ".csv", ".tsv", ".txt", ".gz", ".zst", ".tar", ".zip", ".arrow", ".feather")
"""Endings of formats that we do not write: such a name does not mean a folder."""


@dataclass(frozen=True)
class Exported:
    documents: int
    raw_bytes: int
    renamed: int
    left_out: int


def check_export(dataset: Dataset, output: Path, text_key: str) -> None:
    """Raise ``OptionError`` if ``export_docs`` could not write there."""
    if output != STDOUT and (output.exists() or output.is_symlink()) and not _is_empty_folder(output):
        raise OptionError(f"-o {output} is there already; remove it or name another")
    if output.name.lower().endswith(_OTHER_FILES) and _jsonl_ending(output) is None:
        known = ", ".join([*_JSONL, _PARQUET])
        raise OptionError(f"-o {output}: a file of records ends in {known}; anything else is a folder of files")
    if not output.absolute().parent.is_dir():
        raise OptionError(f"-o {output}: there is no folder {output.parent}; create it first")
    taken = {"path", "lang", "source", *(column.name for column in dataset.manifest.kept_columns)}
    if text_key in taken or not text_key:
        raise OptionError(f"--text-key {text_key!r}: a record has {', '.join(sorted(taken))}; give another name")


def export_docs(
    dataset: Dataset, output: Path, choice: Choice, text_key: str, advance: Callable[[int], None]
) -> Exported:
    """Write the chosen documents to ``output``, which must not exist. If stopped, nothing is left there.

    Raises ``DatasetError`` for a dataset that cannot be read, or whose bytes are not those that were built.
    """
    documents = raw_bytes = left_out = 0
    with _opened(dataset, output, text_key) as writer:
        for document in whole_documents(dataset, choice):
            size = document.first.document_bytes
            if writer.add(document):
                documents += 1
                raw_bytes += size
            else:
                left_out += 1
            advance(size)
        writer.finish()
    return Exported(documents, raw_bytes, writer.renamed, left_out)


@contextmanager
def _opened(dataset: Dataset, output: Path, text_key: str) -> Iterator[Writer]:
    kept = dataset.manifest.kept_columns
    ending = _jsonl_ending(output)
    if output == STDOUT:
        data = Data()
        yield JsonlWriter(data, kept, text_key)
        data.flush()
        return
    is_file = ending is not None or output.name.lower().endswith(_PARQUET)
    with appearing(output, folder=not is_file) as temporary:
        if ending is not None:
            with pa.output_stream(str(temporary), compression=_JSONL[ending]) as sink:
                yield JsonlWriter(sink, kept, text_key)
        elif is_file:
            with pa.OSFile(str(temporary), "wb") as sink, closing(ParquetWriter(sink, kept, text_key)) as writer:
                yield writer
        else:
            yield FolderWriter(temporary)


def _jsonl_ending(output: Path) -> str | None:
    return next((ending for ending in _JSONL if output.name.lower().endswith(ending)), None)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
