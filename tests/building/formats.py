"""One table of documents, written in every format by the format's own tools."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import zstandard

from tests.building.corpora import write_jsonl

datasets.disable_progress_bars()

ROWS = [
    {"content": f"def f{n}():\n    return {'é' * (n % 7)}{n}\n" * (1 + n % 5), "path": f"src/f{n}.py", "stars": n}
    for n in range(700)
]
BYTES = [row["content"].encode() for row in ROWS]  # type: ignore[attr-defined]


def write_tar(path: Path, compress: Callable[[bytes], bytes]) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        folder = tarfile.TarInfo("src")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for row, raw in zip(ROWS, BYTES, strict=True):
            member = tarfile.TarInfo(str(row["path"]))
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    path.write_bytes(compress(plain.getvalue()))


def write_stream(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)


def write_file(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)


def write_dictionary(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    encoded = table.set_column(0, "content", table.column("content").combine_chunks().dictionary_encode())
    pyarrow.parquet.write_table(encoded, path, row_group_size=64)


WRITERS: dict[str, Callable[[Path], None]] = {
    "data.parquet": lambda path: pyarrow.parquet.write_table(
        pa.Table.from_pylist(ROWS), path, row_group_size=64, compression="zstd"
    ),
    "dictionary.parquet": write_dictionary,
    "data.feather": lambda path: pyarrow.feather.write_feather(
        pa.Table.from_pylist(ROWS), path, compression="lz4", chunksize=64
    ),
    "file.arrow": write_file,
    "stream.arrow": write_stream,
    "saved": lambda path: datasets.Dataset.from_list(ROWS).save_to_disk(path, num_shards=3),
    "splits": lambda path: datasets.DatasetDict(
        {"a": datasets.Dataset.from_list(ROWS[:300]), "b": datasets.Dataset.from_list(ROWS[300:])}
    ).save_to_disk(path),
    "data.tar": lambda path: write_tar(path, bytes),
    "data.tar.gz": lambda path: write_tar(path, gzip.compress),
    "data.tgz": lambda path: write_tar(path, gzip.compress),
    "data.tar.zst": lambda path: write_tar(path, zstandard.compress),
    "data.jsonl": lambda path: write_jsonl(path, ROWS),
    "data.jsonl.zst": lambda path: write_jsonl(path, ROWS),
    "data.json.gz": lambda path: write_jsonl(path, ROWS),
    "data.json.zst": lambda path: write_jsonl(path, ROWS),
}
