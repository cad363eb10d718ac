"""The committed dataset of format version 1: every future reader opens it, and every codec decodes it."""

from __future__ import annotations

from collections import Counter

import pytest

from pcdata.codecs.base import open_codec
from pcdata.dataset import Dataset
from pcdata.inspection.verify import verify
from tests.build.test_build import documents_of
from tests.golden.make import FOLDER, contents


def test_it_holds_what_was_put_in() -> None:
    assert documents_of(FOLDER) == Counter(contents().items())
    dataset = Dataset(FOLDER)
    assert [view.name for view in dataset.manifest.views] == ["zstd", "blocks", "gzip", "bpe"]
    assert sum(dataset.split(name).n_documents for name in dataset.splits) > len(contents())  # some are cut


def test_it_verifies() -> None:
    report = verify(FOLDER)
    assert report.ok, report.render()
    assert report.decoded == 4 * report.documents


@pytest.mark.parametrize("name", ["zstd", "blocks", "gzip", "bpe"])
def test_its_symbols_decode(name: str) -> None:
    dataset = Dataset(FOLDER)
    view = dataset.manifest.view(name)
    codec = open_codec(view, FOLDER)
    for split in map(dataset.split, dataset.splits):
        for block in range(split.n_blocks):
            base, columns = split.base(block), split.view(name, block)
            for row in range(len(base)):
                decoded = codec.decode(
                    columns.symbols_of(row), columns.unit_bytes_of(row), columns.unit_symbols_of(row)
                )
                assert decoded == base.raw_of(row).tobytes()


def test_its_identity_has_not_changed() -> None:
    manifest = Dataset(FOLDER).manifest
    ids = {view.name: (view.slot, view.first_id, view.n_symbols) for view in manifest.views}
    assert ids == {"zstd": (0, 320, 256), "blocks": (1, 64, 256), "gzip": (2, 576, 256), "bpe": (3, 832, 300)}
    assert (manifest.next_slot, manifest.next_id, manifest.vocabulary.padded_size) == (4, 1132, 1152)
