"""What Parquet and Arrow files do to the process that reads them costs their own rows, the same on every run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from pcdata.inputs import records, table_process
from pcdata.inputs.base import Fault
from pcdata.inputs.table_process import IsolatedTable, end_table_process, table_of
from pcdata.inputs.tables import ArrowChunks, Selection, StreamChunks, TableFile
from pcdata.inputs.whose_fault import Unreadable
from pcdata.processes.isolated import Limits
from tests.building.corpora import options, write_jsonl

TEXTS = [f"document {number:04}\n" for number in range(1_000)]


@pytest.fixture(autouse=True)
def _new_process() -> Iterator[None]:
    end_table_process()
    yield
    end_table_process()


def built(path: Path, **more: Any) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Documents and rejects of a file, and of a good one after it, whose only document is the last."""
    write_jsonl(path.parent / "good.jsonl", [{"text": "good"}])
    output = path.parent / "shards"
    build(options([path, path.parent / "good.jsonl"], output, **{"val_fraction": 0.0, **more}), Reporter())
    split = Dataset(output).split("train")
    documents = [split.document(number).raw.tobytes() for number in range(split.n_documents)]
    assert documents.pop() == b"good"
    return documents, [json.loads(line) for line in (output / "rejects.jsonl").read_text().splitlines()]


def shared_value(text: list[str], name: str, size: int) -> pa.Table:
    """Rows that share one long value of a column."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * len(text), pa.int32()), pa.array(["a" * size]))
    return pa.table({"text": text, name: values}) if name != "text" else pa.table({"text": values})


def write_shared(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30)


@pytest.mark.parametrize("column", ["text", "path"])
def test_rows_that_share_a_long_value_are_read_one_by_one(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together have 1.2 GB; the process may take 300 MB."""
    monkeypatch.setattr(table_process, "LIMITS", Limits(memory_bytes=300_000_000, cpu_seconds=20))
    write_shared(tmp_path / "a.parquet", shared_value(TEXTS[:60], column, 20_000_000))
    assert (tmp_path / "a.parquet").stat().st_size < 5_000
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 10_000_000)  # so that none of this is written
    found, rejects = built(tmp_path / "a.parquet")
    assert found == []
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [
        (number, "too large") for number in range(1, 61)
    ]


def test_a_batch_that_would_take_more_than_the_limit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_process, "LIMITS", Limits(memory_bytes=200_000_000, cpu_seconds=20))
    text = pa.Array.from_buffers(
        pa.large_utf8(),
        60,
        [None, pa.py_buffer(np.arange(61, dtype=np.int64) * 5_000_000), pa.py_buffer(bytes(300_000_000))],
    )
    schema = pa.schema([("text", pa.large_utf8())])
    with (
        pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file,
        pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
    ):
        writer.write_batch(pa.record_batch([pa.array(["first"], pa.large_utf8())], ["text"]))
        writer.write_batch(pa.record_batch([text], ["text"]))
    found, (reject,) = built(tmp_path / "a.arrow")
    assert found == [b"first"]
    assert (reject["position"], reject["reason"]) == (2, "unreadable")
    assert "the process that read it would take more than 0.2 GB of memory" in reject["detail"]


class DiesAtRow700(table_process._TableReader):
    """Aborts when it reads row 700; if a file is named in the environment, only while that is there."""

    def _answer(self, request: Any) -> Any:
        if isinstance(request, table_process._Rows) and request.first <= 700 < request.first + request.rows_at_once:
            once = os.environ.get("DIES_ONCE")
            if once is None or Path(once).exists():
                if once is not None:
                    Path(once).unlink()
                os.abort()
        return super()._answer(request)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
@pytest.mark.parametrize("once", [False, True])
def test_a_death_costs_what_comes_after_it_if_it_comes_again(
    name: str, once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process read before makes no difference: a new one goes on from the row that the first one died at."""
    table = pa.table({"text": TEXTS})
    if name == "a.parquet":
        pq.write_table(table, tmp_path / name, row_group_size=400)
    else:
        new = pa.ipc.new_file if name == "a.arrow" else pa.ipc.new_stream
        with pa.OSFile(str(tmp_path / name), "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=300)
    monkeypatch.setattr(table_process, "_TableReader", DiesAtRow700)
    if once:
        (tmp_path / "die").touch()
        monkeypatch.setenv("DIES_ONCE", str(tmp_path / "die"))
    found, rejects = built(tmp_path / name)
    assert not (tmp_path / "die").exists()
    assert found == [text.encode() for text in TEXTS[: 1_000 if once else 700]]
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [] if once else [(701, "unreadable")]
    assert once or "died (SIGABRT)" in rejects[0]["detail"]


def test_the_file_that_is_read_is_the_one_that_was_opened(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(pa.table({"text": [name]}), tmp_path / name)
    path = os.fsencode(tmp_path / "a.parquet")
    with (tmp_path / "a.parquet").open("rb", buffering=0) as file:
        table = IsolatedTable(table_of(file, path, "parquet", Selection(max_record_bytes=100)))
        assert [located.found.raw for located in table.scan()] == [b"a.parquet"]  # type: ignore[union-attr]
        end_table_process()
        (tmp_path / "b.parquet").rename(tmp_path / "a.parquet")
        with pytest.raises(OSError, match="another file"):
            [*table.scan()]


def test_pages_before_a_damaged_one_are_read(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": TEXTS}),
        tmp_path / "a.parquet",
        compression="none",
        use_dictionary=False,
        data_page_size=256,
        write_batch_size=8,
        write_page_checksum=True,
        row_group_size=700,
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    counts = set()
    for number in (0, 255, 256, 257, 500, 699, 700, 900):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.parquet").write_bytes(whole.replace(TEXTS[number].encode(), TEXTS[number].upper().encode()))
        found, rejects = built(folder / "a.parquet")
        assert found == [text.encode() for text in TEXTS[: len(found)]]
        assert number - 24 <= len(found) <= number
        assert [(reject["position"], reject["reason"]) for reject in rejects] == [(len(found) + 1, "unreadable")]
        counts.add(len(found))
    assert len(counts) > 4


class Claims:
    """Two chunks of three rows each, whatever ``rows`` says."""

    column_names = ("text",)
    sizes = (0, 0)

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows

    def read(self, chunk: int, columns: list[str], rows_at_once: int) -> Iterator[tuple[pa.RecordBatch, None]]:
        for number in range(3):
            yield pa.record_batch([pa.array([f"{chunk} {number}"])], ["text"]), None


@pytest.mark.parametrize(("rows", "before"), [([3, 3], 6), ([2, 3], 2), ([4, 3], 3), ([3, 1], 4), ([3, 7], 6)])
def test_a_file_that_has_other_rows_than_it_says_is_read_up_to_there(rows: list[int], before: int) -> None:
    """Places that do not fit would be those of other rows in the second pass."""
    table = TableFile(Claims(rows), Selection(max_record_bytes=100))  # type: ignore[arg-type]
    found: list[bytes] = []

    def read() -> None:
        while some := [*table.rows(len(found), 256)]:
            assert [row.position for row in some] == [*range(len(found) + 1, len(found) + 1 + len(some))]
            found.extend(bytes(row.text) for row in some if not isinstance(row.text, Fault))

    if before == 6 and sum(rows) == 6:
        read()
    else:
        with pytest.raises(Unreadable, match="rows in its first"):
            read()
    assert found == [b"%d %d" % (chunk, number) for chunk in range(2) for number in range(3)][:before]


def compressed(path: Path, new: Any) -> None:
    """Four batches of 6 MB of text."""
    batch = pa.record_batch([pa.array(["x = 1\n" * 1_000] * 1_000), pa.array(range(1_000))], names=["text", "n"])
    with (
        pa.OSFile(str(path), "wb") as file,
        new(file, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
    ):
        for _ in range(4):
            writer.write_batch(batch)


def test_counting_rows_decompresses_nothing(tmp_path: Path) -> None:
    compressed(tmp_path / "a.arrow", pa.ipc.new_file)
    before = pa.default_memory_pool().bytes_allocated()
    chunks = ArrowChunks(pa.memory_map(str(tmp_path / "a.arrow")))
    assert chunks.rows == [1_000] * 4
    assert pa.default_memory_pool().bytes_allocated() - before < 100_000
    rows = chunks.read(0, ["n"], 256)
    next(rows)
    assert pa.default_memory_pool().bytes_allocated() - before < 100_000  # nor the columns that nobody wants


def test_a_compressed_stream_is_read_batch_by_batch(tmp_path: Path) -> None:
    compressed(tmp_path / "a.arrow", pa.ipc.new_stream)
    before = pa.default_memory_pool().bytes_allocated()
    table = TableFile(StreamChunks(pa.memory_map(str(tmp_path / "a.arrow"))), Selection(max_record_bytes=1 << 20))
    read = 0
    while some := [*table.rows(read, 256)]:
        read += len(some)
        assert 5_000_000 < pa.default_memory_pool().bytes_allocated() - before < 15_000_000
    assert read == 4_000


def test_what_comes_after_a_stream_is_said(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file:
        for _ in range(2):
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)
    found, (reject,) = built(tmp_path / "a.arrow")
    assert found == [b"a", b"b"]
    assert reject["position"] == 3
    assert "the stream ends at byte" in reject["detail"]


@pytest.mark.parametrize("name", ["a.jsonl.zst", "nothing.parquet", "text.parquet", "path.parquet"])
def test_a_small_file_cannot_say_the_same_record_for_ever(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LEAST_EXPANDED_BYTES", 100_000)
    monkeypatch.setattr(records, "MOST_EXPANSION", 10)
    if name == "a.jsonl.zst":
        (tmp_path / name).write_bytes(zstandard.compress(b'{"text":"x"}\n' * 10_000))
        counted = 1
    elif name == "nothing.parquet":
        pq.write_table(pa.table({"text": pa.nulls(10_000, pa.string())}), tmp_path / name)
        counted = 0
    else:
        column = name.partition(".")[0]
        write_shared(tmp_path / name, shared_value(["x"] * 10_000, column, 1_000))
        counted = 1_001 if column == "path" else 1_000
    found, rejects = built(tmp_path / name)
    read = 100_000 // (1_000 + counted + (name == "a.jsonl.zst") * (len(name) + 2))
    assert len(rejects) + len(found) - 1 == pytest.approx(read, abs=4)
    assert rejects[-1]["reason"] == "too large"
    assert "from here on the file is not read" in rejects[-1]["detail"]
    assert rejects[-1]["position"] == len(rejects) + len(found)


def test_an_ordinary_file_may_be_compressed_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times is nothing remarkable."""
    monkeypatch.setattr(records, "LEAST_EXPANDED_BYTES", 100_000)
    table = pa.table({"text": [f"{number}" + "x" * 3_000 for number in range(1_000)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    found, rejects = built(tmp_path / "a.parquet")
    assert (len(found), rejects) == (1_000, [])
