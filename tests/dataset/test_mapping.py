"""Mapped files: no descriptor stays open, and what is mapped outlives the file's name."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pcdata.dataset import Dataset
from pcdata.dataset.mapping import map_file, will_need
from tests.dataset.written import write_dataset


def _descriptors() -> int:
    return len([*Path("/dev/fd").iterdir()])


def _mappings(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(path))


@pytest.mark.parametrize("random", [False, True])
def test_a_mapped_file_is_its_content(tmp_path: Path, random: bool) -> None:
    path = tmp_path / "file"
    for content in (b"", b"x", b"a page and more" * 1000):
        path.write_bytes(content)
        mapped = map_file(path, random=random)
        array = np.frombuffer(mapped, np.uint8)
        will_need(array)
        path.unlink()
        del mapped
        gc.collect()
        assert array.tobytes() == content
        assert not array.flags.writeable


def test_it_is_unmapped_with_the_last_array(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not say what is mapped")
    array = np.frombuffer(map_file(path), np.uint8)[5_000:]
    assert _mappings(path) == 1
    del array
    gc.collect()
    assert _mappings(path) == 0


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert map_file(tmp_path / "fifo").size == 0


def test_what_the_system_refuses_has_a_number_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        map_file(tmp_path / "nothing")
    with pytest.raises(OSError, match=str(tmp_path)) as caught:
        map_file(tmp_path)
    assert caught.value.errno == errno.ENODEV


def test_a_dataset_of_many_shards_keeps_no_descriptor(tmp_path: Path) -> None:
    write_dataset(tmp_path, block_documents=1, shard_documents=1)
    splits = [Dataset(tmp_path).split("train") for _ in range(2)]
    splits[1].random = True
    before = _descriptors()
    for split in splits:
        for block in range(split.n_blocks):
            split.base(block), split.view("zstd", block)
    assert splits[0].n_blocks == 29
    assert _descriptors() == before


def test_arrow_reads_the_mapped_memory_itself(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    allocated = pa.total_allocated_bytes()
    split = Dataset(tmp_path).split("train")
    bases = [split.base(block) for block in range(split.n_blocks)]
    assert sum(len(base) for base in bases) == 29
    assert pa.total_allocated_bytes() == allocated
