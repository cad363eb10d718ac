"""The blocks of one Arrow file for verify: every one checked for form before anybody looks at its content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.manifest import BaseShard, FileEntry
from pcdata.dataset.reader import is_machines
from pcdata.dataset.views import BaseColumns, ViewColumns, base_columns, view_columns
from pcdata.errors import DatasetError
from pcdata.inspection.findings import REBUILD, Fault, Finding


def base_blocks(folder: Path, shard: BaseShard, kept: Sequence[schema.KeptColumn]) -> Iterator[BaseColumns]:
    """The blocks of a base file. Raises ``Fault`` at the first that is not as the format says."""
    for block, batch in enumerate(_batches(folder, shard.file, schema.base_schema(kept), shard.block_documents)):
        try:
            yield base_columns(batch, "")
        except DatasetError as error:
            raise Fault(Finding(shard.file.path, _reason(error), REBUILD, block)) from None


def view_blocks(
    folder: Path, file: FileEntry, types: schema.ViewTypes, block_documents: tuple[int, ...]
) -> Iterator[tuple[NDArray[np.uint8], ViewColumns]]:
    """The blocks of a view file, each with its doc_ids [documents, 16]. Raises ``Fault`` likewise."""
    for block, batch in enumerate(_batches(folder, file, schema.view_schema(types), block_documents)):
        try:
            columns = view_columns(batch, types, "")
        except DatasetError as error:
            raise Fault(Finding(file.path, _reason(error), REBUILD, block)) from None
        doc_ids = np.frombuffer(batch.column(schema.DOC_ID).buffers()[1], np.uint8)
        yield doc_ids[: len(batch) * schema.DOC_ID_BYTES].reshape(-1, schema.DOC_ID_BYTES), columns


def _batches(
    folder: Path, entry: FileEntry, expected: pa.Schema, block_documents: tuple[int, ...]
) -> Iterator[pa.RecordBatch]:
    try:
        file = pa.ipc.open_file(pa.memory_map(str(folder / entry.path)))
    except (pa.ArrowException, OSError) as error:
        if is_machines(error):
            raise
        raise Fault(Finding(entry.path, f"it does not open as an Arrow file ({error})", REBUILD)) from None
    if not file.schema.equals(expected):
        what = f"its columns are {_columns(file.schema)}; expected {_columns(expected)}"
        raise Fault(Finding(entry.path, what, REBUILD))
    if file.num_record_batches != len(block_documents):
        what = f"it has {file.num_record_batches} blocks, the manifest says {len(block_documents)}"
        raise Fault(Finding(entry.path, what, REBUILD))
    for block, count in enumerate(block_documents):
        try:
            batch = file.get_batch(block)
            batch.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            if is_machines(error):
                raise
            raise Fault(Finding(entry.path, f"it does not parse ({error})", REBUILD, block)) from None
        if len(batch) != count:
            what = f"it has {len(batch)} documents, the manifest says {count}"
            raise Fault(Finding(entry.path, what, REBUILD, block))
        yield batch


def _columns(shape: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in shape)


def _reason(error: DatasetError) -> str:
    """The middle of a reader's sentence, whose end advises to run this very command."""
    return str(error).lstrip(":, ").rpartition(";")[0]
