"""The blocks of one Arrow file for verify: each is checked for form before its content is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.arrow_file import ArrowFile
from pcdata.dataset.columns import BaseColumns, ViewColumns, base_columns, view_columns
from pcdata.dataset.manifest import BaseShard, FileEntry
from pcdata.errors import FormatError
from pcdata.verifying.findings import REBUILD, Fault, Finding


def base_blocks(folder: Path, shard: BaseShard, kept: Sequence[schema.KeptColumn]) -> Iterator[BaseColumns]:
    """The blocks of a base file. Raises ``Fault`` at the first that is not as the format says."""
    for block, batch in enumerate(_batches(folder, shard.file, schema.base_schema(kept), shard.block_documents)):
        with _faults(shard.file, block):
            columns = base_columns(batch, "")
        yield columns


def view_blocks(
    folder: Path, file: FileEntry, types: schema.ViewTypes, block_documents: tuple[int, ...]
) -> Iterator[tuple[NDArray[np.uint8], ViewColumns]]:
    """The blocks of a view file, each with its doc_ids [documents, 16]. Raises ``Fault`` likewise."""
    for block, batch in enumerate(_batches(folder, file, schema.view_schema(types), block_documents)):
        with _faults(file, block):
            columns = view_columns(batch, types, "")
        doc_ids = np.frombuffer(batch.column(schema.DOC_ID).buffers()[1], np.uint8)
        yield doc_ids[: len(batch) * schema.DOC_ID_BYTES].reshape(-1, schema.DOC_ID_BYTES), columns


def _batches(
    folder: Path, entry: FileEntry, expected: pa.Schema, block_documents: tuple[int, ...]
) -> Iterator[pa.RecordBatch]:
    with _faults(entry):
        file = ArrowFile(folder, entry, expected, block_documents)
    for block in range(len(block_documents)):
        with _faults(entry, block):
            batch = file.batch(block, whole=True)
        yield batch


@contextmanager
def _faults(file: FileEntry, block: int | None = None) -> Iterator[None]:
    """Turn errors of the reader into findings."""
    try:
        yield
    except FormatError as error:
        raise Fault(Finding(file.path, error.what, REBUILD, block)) from None
