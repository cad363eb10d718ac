"""What an Arrow file of a dataset must not be: compressed, with dictionaries, with offsets or text that lie.

Each is resealed, as a stranger would: sizes and digest are right.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pcdata.dataset import Dataset, DatasetError
from pcdata.errors import FormatError
from tests.dataset.written import reseal, write_dataset

BASE, VIEW = "base/train-00000.arrow", "views/zstd/train-00000.arrow"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path)
    return tmp_path


def _rewrite(folder: Path, path: str, change: Callable[[pa.RecordBatch], pa.RecordBatch], **options: object) -> None:
    """Write an Arrow file again, its batches changed."""
    batches = [change(batch) for batch in pa.ipc.open_file((folder / path).read_bytes()).read_all().to_batches()]
    with pa.ipc.new_file(str(folder / path), batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    reseal(folder)


def _overwrite(folder: Path, path: str, column: str, place: int, number: int) -> None:
    """Change one offset of a column in the first batch."""
    data = bytearray((folder / path).read_bytes())
    array = pa.ipc.open_file(pa.py_buffer(data)).get_batch(0).column(column)
    offsets = array.buffers()[1]
    here = offsets.address - pa.py_buffer(data).address
    struct.pack_into("<i", data, here + 4 * place, number)
    (folder / path).write_bytes(data)
    reseal(folder)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("path", [BASE, VIEW])
def test_compressed_buffers_are_refused_before_any_is_decompressed(folder: Path, path: str, compression: str) -> None:
    _rewrite(folder, path, lambda batch: batch, compression=compression)
    split = Dataset(folder).split("train")
    allocated = pa.default_memory_pool().bytes_allocated()
    with pytest.raises(FormatError, match=rf"{path} block 1: it is compressed, which no file of a dataset is"):
        split.base(1) if path == BASE else split.view("zstd", 1)
    assert pa.default_memory_pool().bytes_allocated() == allocated


def test_dictionaries_are_refused(folder: Path) -> None:
    def encode(batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index("lang")
        return batch.set_column(place, "lang", pa.DictionaryArray.from_arrays([0] * len(batch), ["text"]))

    _rewrite(folder, BASE, encode)
    with pytest.raises(FormatError, match=rf"{BASE}: it has dictionaries, which no file of a dataset has"):
        Dataset(folder).split("train").base(0)


def test_columns_are_the_formats_and_no_others(folder: Path) -> None:
    _rewrite(folder, BASE, lambda batch: batch.append_column("more", pa.array([*range(len(batch))])))
    with pytest.raises(FormatError, match=rf"{BASE}: its columns are .*, more int64; expected"):
        Dataset(folder).split("train").base(0)


def test_a_column_with_a_long_name_is_named_in_part(folder: Path) -> None:
    _rewrite(folder, BASE, lambda batch: batch.rename_columns(["x" * 5_000, *batch.schema.names[1:]]))
    with pytest.raises(FormatError, match=r"its columns are x+ …; expected doc_id") as caught:
        Dataset(folder).split("train").base(0)
    assert len(str(caught.value)) < 2_000


def test_blocks_are_as_long_as_the_manifest_says(folder: Path) -> None:
    _rewrite(folder, BASE, lambda batch: batch.slice(1))
    with pytest.raises(FormatError, match=rf"{BASE} block 0: it has 3 documents, the manifest says 4"):
        Dataset(folder).split("train").base(0)


@pytest.mark.parametrize("column", ["path", "lang", "source"])
@pytest.mark.parametrize("number", [2_000_000_000, -2_000_000_000, 100_000])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_offset_that_lies_is_refused_where_its_column_is_read(
    folder: Path, column: str, number: int, place: int
) -> None:
    _overwrite(folder, BASE, column, place, number)
    split = Dataset(folder).split("train")
    with pytest.raises(FormatError, match=re.escape(f"{BASE} block 0: ")) as caught:
        getattr(split.document(0), column)
    assert str(caught.value).endswith("; run pcdata verify")
    assert "\n" not in str(caught.value)
    assert split.document(4).path


@pytest.mark.parametrize("column", ["lang", "source"])
def test_text_that_is_not_utf8_is_refused(folder: Path, column: str) -> None:
    def spoil(batch: pa.RecordBatch) -> pa.RecordBatch:
        text = pa.array([b"\xff"] * len(batch), pa.binary())
        broken = pa.Array.from_buffers(pa.string(), len(batch), text.buffers())
        return batch.set_column(batch.schema.get_field_index(column), column, broken)

    _rewrite(folder, BASE, spoil)
    document = Dataset(folder).split("train").document(0)
    assert document.raw.size
    with pytest.raises(DatasetError, match=rf"{BASE} block 0: column {column}: Invalid UTF8.*; run pcdata verify"):
        getattr(document, column)


@pytest.mark.parametrize(("path", "column"), [(BASE, "lang"), (BASE, "raw"), (VIEW, "symbols"), (VIEW, "unit_bytes")])
def test_nulls_are_refused(folder: Path, path: str, column: str) -> None:
    def spoil(batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index(column)
        values = batch.column(column).to_pylist()
        nulls = pa.array([None, *values[1:]], batch.schema.field(place).type)
        return batch.set_column(place, batch.schema.field(place), nulls)

    def spoil_items(batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index(column)
        values = [[None, *each[1:]] if each else each for each in batch.column(column).to_pylist()]
        return batch.set_column(place, batch.schema.field(place), pa.array(values, batch.schema.field(place).type))

    for change in (spoil, spoil_items) if path == VIEW else (spoil,):
        write_dataset(folder)
        _rewrite(folder, path, change)
        split = Dataset(folder).split("train")
        with pytest.raises(FormatError, match=rf"{path} block 0: column {column} has nulls"):
            split.base(0) if path == BASE else split.view("zstd", 0)
