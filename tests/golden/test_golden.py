"""The committed dataset of format version 1: every future reader opens it, and every codec decodes it."""

from __future__ import annotations

from collections import Counter
from importlib import metadata

import pytest

from pcdata.codecs.base import ENTRY_POINTS, open_codec
from pcdata.dataset import Dataset
from pcdata.verifying.verify import verify
from tests.dataset.contents import documents_of
from tests.golden.make import FOLDER, contents

VIEW_NAMES = {
    "zstd": (0, 320, 256),
    "blocks": (1, 64, 256),
    "gzip": (2, 576, 256),
    "bpe": (3, 832, 300),
    "ng": (4, 1132, 256),
    "token-bytes": (5, 1388, 256),
    "doublebyte": (6, 1644, 65_536),
    "halfbyte": (7, 67_180, 16),
    "doublebit": (8, 67_196, 4),
    "bit": (9, 67_200, 2),
    "ngram": (10, 67_202, 65_536),
    "ngram24": (11, 132_738, 4096),
}
"""Slot, first id and number of symbols."""

NEWER = {"entropy"}
"""Codecs that came after it was made."""


def test_it_holds_what_was_put_in() -> None:
    assert documents_of(FOLDER) == Counter(contents().items())
    dataset = Dataset(FOLDER)
    assert [view.name for view in dataset.manifest.views] == list(VIEW_NAMES)
    codecs = {point.name for point in metadata.entry_points(group=ENTRY_POINTS) if point.module.startswith("pcdata.")}
    assert {view.codec for view in dataset.manifest.views} == codecs - NEWER
    assert sum(dataset.split(name).n_documents for name in dataset.splits) > len(contents())  # some are cut


def test_it_verifies() -> None:
    report = verify(FOLDER)
    assert report.ok, report.render()
    assert report.decoded == len(VIEW_NAMES) * report.documents


@pytest.mark.parametrize("name", VIEW_NAMES)
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
    assert ids == VIEW_NAMES
    assert (manifest.next_slot, manifest.next_id, manifest.vocabulary.padded_size) == (12, 136_834, 136_896)
