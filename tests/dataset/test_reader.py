"""The reader's laws: cheap to open, maps what is used, hands out read-only views, travels, and says what is wrong."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcdata.codecs.base import open_codec
from pcdata.dataset import Dataset, DatasetError, reader
from pcdata.dataset.identity import doc_id_of
from pcdata.dataset.manifest import MANIFEST, FileEntry
from pcdata.dataset.mapping import will_need
from tests.dataset.written import Row, sample_rows, save, write_dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_dataset(folder)
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Arrow files that were opened, in order."""
    paths: list[str] = []
    arrow_file = reader.ArrowFile

    def spy(folder: Path, entry: FileEntry, *form: Any, random: bool) -> object:
        paths.append(entry.path)
        return arrow_file(folder, entry, *form, random=random)

    monkeypatch.setattr(reader, "ArrowFile", spy)
    return paths


def read_all(folder: Path) -> list[Row]:
    dataset = Dataset(folder)
    documents = [split.document(n) for split in map(dataset.split, dataset.splits) for n in range(split.n_documents)]
    return [
        Row(
            one.path,
            one.raw.tobytes(),
            one.lang,
            one.part_start_bytes,
            one.document_bytes - one.part_start_bytes - len(one.raw),
        )
        for one in documents
    ]


def test_what_was_written_is_read(written: Path) -> None:
    assert read_all(written) == sample_rows()


def test_every_view_of_every_document_decodes_at_every_alignment_point(written: Path) -> None:
    dataset = Dataset(written)
    split = dataset.split("train")
    points_seen = 0
    for view in dataset.manifest.views:
        codec = open_codec(view, written)
        for number in range(split.n_documents):
            document = split.document(number)
            assert document.doc_id == doc_id_of(document.raw.tobytes()).hex()
            columns, points = split.view(view.name, document.block), document.alignment(view.name)
            unit_bytes, unit_symbols = columns.unit_bytes_of(document.row), columns.unit_symbols_of(document.row)
            for unit, (symbol_end, raw_end) in enumerate(zip(points.symbol_ends, points.raw_ends, strict=True), 1):
                some = None if unit_symbols is None else unit_symbols[:unit]
                decoded = codec.decode(document.symbols(view.name)[:symbol_end], unit_bytes[:unit], some)
                assert decoded == document.raw[:raw_end].tobytes()
                points_seen += 1
    assert points_seen > 1000


def test_opening_touches_no_shard(written: Path, tmp_path: Path) -> None:
    shutil.copy(written / MANIFEST, tmp_path)
    dataset = Dataset(tmp_path)
    assert dataset.split("train").n_documents == 29
    assert dataset.vocabulary.size == 320 + 300 + 256


def test_maps_only_what_is_used(written: Path, opened: list[str]) -> None:
    split = Dataset(written).split("train")
    assert opened == []
    split.base(0)
    assert opened == ["base/train-00000.arrow"]
    split.document(split.n_documents - 1).symbols("gzip")
    assert opened == ["base/train-00000.arrow", "views/gzip/train-00002.arrow"]
    split.base(0), split.base(1), split.view("gzip", split.n_blocks - 1)
    assert len(opened) == 2


def test_arrays_are_read_only_views(written: Path) -> None:
    split = Dataset(written).split("train")
    base, view = split.base(0), split.view("zstd", 0)
    assert view.unit_symbols is not None
    for array in (base.raw, base.raw_of(0), base.raw_offsets, base.doc_ids, base.part_starts):
        assert not array.flags.writeable
        assert not array.flags.owndata
    for array in (view.symbols, view.symbols_of(0), view.unit_bytes, view.unit_symbols, view.unit_offsets):
        assert not array.flags.writeable
        assert not array.flags.owndata


def test_what_the_kernel_is_told_changes_no_byte(written: Path) -> None:
    usual, at_random = (Dataset(written).split("train") for _ in range(2))
    at_random.random = True
    for block in range(usual.n_blocks):
        pairs = [(usual.base(block).raw, at_random.base(block).raw)]
        pairs += [(usual.view(name, block).symbols, at_random.view(name, block).symbols) for name in ("zstd", "bpe")]
        for one, other in pairs:
            will_need(other), will_need(other[1:2]), will_need(other[:0])
            assert np.array_equal(one, other)
            assert not other.flags.writeable


def test_arrays_outlive_the_dataset(written: Path) -> None:
    raw = Dataset(written).split("train").document(0).raw
    assert raw.tobytes() == sample_rows()[0].raw


def test_blocks_and_documents_agree(written: Path) -> None:
    split = Dataset(written).split("train")
    by_block = [split.base(b).raw_of(r).tobytes() for b in range(split.n_blocks) for r in range(len(split.base(b)))]
    assert by_block == [split.document(n).raw.tobytes() for n in range(split.n_documents)]
    assert split.block_documents.tolist() == [4, 4, 4, 4, 4, 4, 4, 1]
    assert sum(map(len, by_block)) == split.raw_bytes
    assert split.document_lengths().tolist() == [*map(len, by_block)]
    assert split.where(3) == "base/train-00001.arrow block 0"
    for number in (-1, split.n_documents):
        with pytest.raises(IndexError):
            split.document(number)


def test_forgotten_blocks_are_mapped_again(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_BLOCKS_KEPT", 1)
    split = Dataset(written).split("train")
    first = split.base(0).raw_of(0)
    split.base(1)
    assert split.base(0).raw_of(0).tobytes() == first.tobytes()


def test_pickles_small_and_opens_again(written: Path) -> None:
    split = Dataset(written).split("train")
    split.view("bpe", 0)
    data = pickle.dumps(split)
    assert len(data) < 500
    again = pickle.loads(data)
    assert again.document(3).raw.tobytes() == split.document(3).raw.tobytes()


def _raw_bytes(split: reader.Split) -> int:
    return sum(int(split.base(block).raw_offsets[-1]) for block in range(split.n_blocks))


def test_works_in_a_spawned_process(written: Path) -> None:
    split = Dataset(written).split("train")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_raw_bytes, (split,)) == split.raw_bytes
        pool.close()
        pool.join()


def test_unknown_names_are_refused_with_those_there_are(written: Path) -> None:
    dataset = Dataset(written)
    with pytest.raises(DatasetError, match="no test split; its splits: train, val"):
        dataset.split("test")
    with pytest.raises(DatasetError, match="no view 'bpq'; it has: bpe, zstd, gzip"):
        dataset.split("train").view("bpq", 0)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("damage", "says"),
    [(Path.unlink, "is missing"), (_cut, "the manifest says"), (_lengthen, "the manifest says")],
    ids=["missing", "cut", "lengthened"],
)
def test_a_file_of_another_size_is_refused_before_it_is_parsed(
    written: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    folder = shutil.copytree(written, tmp_path / "damaged")
    damage(folder / "views/zstd/train-00000.arrow")
    split = Dataset(folder).split("train")
    split.base(0)
    with pytest.raises(DatasetError, match=rf"views/zstd/train-00000.arrow .*{says}") as caught:
        split.view("zstd", 0)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_arrow_is_refused(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written, tmp_path / "damaged")
    path = folder / "base/train-00000.arrow"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DatasetError, match=r"base/train-00000.arrow: it does not open as an Arrow file"):
        Dataset(folder).split("train").base(0)


def test_a_file_of_another_shape_is_refused(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written, tmp_path / "other")
    manifest = Dataset(folder).manifest
    bpe, zstd, gzip = manifest.views
    save(folder, replace(manifest, views=(replace(bpe, splits=zstd.splits), zstd, gzip)))
    with pytest.raises(
        DatasetError, match=r"views/zstd/train-00000.arrow: its columns are .*; expected .*uint16.*; run"
    ):
        Dataset(folder).split("train").view("bpe", 0)


def test_units_that_do_not_end_with_the_document_are_refused(written: Path) -> None:
    split = Dataset(written).split("train")
    view = split.view("zstd", 0)
    split._views["zstd", 0] = replace(view, unit_bytes=view.unit_bytes + np.uint8(1))
    with pytest.raises(DatasetError, match=r"base/train-00000.arrow block 0, row 0: units of view zstd end at"):
        split.alignment("zstd", 0, 0)


def test_a_dataset_of_empty_documents_reads(tmp_path: Path) -> None:
    write_dataset(tmp_path, [Row(b"a", b""), Row(b"b", b"")], views=("gzip",))
    document = Dataset(tmp_path).split("train").document(0)
    assert len(document.raw) == len(document.symbols("gzip")) == len(document.alignment("gzip").raw_ends) == 0
