"""A dataset that a stranger made cannot end a command in anything but an answer or a sentence, nor write elsewhere.

``make test`` tries a dozen changes, ``make test-deep`` thousands. A change that was found to do harm stays as an
example of its own, in the test of the part that was mended.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from pcdata.dataset import Dataset
from tests.building.corpora import options, write_code, write_jsonl
from tests.dataset.contents import contents
from tests.hostile.changes import dataset_changes, write_files
from tests.hostile.reading import HOME, LIMITS, Process, Reading, outcomes_of

VIEWS = ("zstd:size=64,dictionary=1024", "bpe:vocab_size=280", "gzip:ids=raw", "ngram:segment=4,contexts=60")


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with closing(Process(Reading, LIMITS)) as process:
        yield process


@cache
def sound_files() -> dict[str, bytes]:
    """Of a dataset. No fixture, so that the changes can be a strategy of their own."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        write_code(root / "corpus", files=12)
        write_jsonl(root / "records.jsonl", [{"text": f"record {n}\n" * 9, "stars": n, "note": None} for n in range(9)])
        shape = {"max_document_bytes": 900, "keep": ("stars:int64", "note"), "val_fraction": 0.2, "shard_bytes": 6_000}
        patch.setattr("pcdata.building.write.BLOCK_RAW_BYTES", 2_000)  # several blocks in a shard
        build(options([root / "corpus", root / "records.jsonl"], root / "ds", *VIEWS, **shape), Reporter())
        return contents(root / "ds")


CHANGES = st.deferred(lambda: dataset_changes(sound_files()))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound dataset, to be merged with; and a folder that nobody is to touch."""
    root = tmp_path_factory.mktemp("hostile")
    write_files(root / "other", {**sound_files(), "resealed": b""})
    write_files(root / "home", HOME)
    return root


def test_a_sound_dataset_passes(place: Path, process: Process) -> None:
    """The guard: every command does its work, or the rest would show nothing."""
    write_files(place / "ds", {**sound_files(), "resealed": b""})
    outcomes = process.read(place)
    assert {one.command: (one.code, one.traceback) for one in outcomes if one.code or one.traceback} == {}
    shards = Dataset(place / "other").manifest.base.splits["train"]
    assert len(shards) > 1
    assert max(len(shard.block_documents) for shard in shards) > 1
    shutil.rmtree(place / "ds")


def _check(place: Path, process: Process, changed: dict[str, bytes]) -> None:
    outcomes = outcomes_of(place, "ds", sound_files(), changed, process)
    if outcomes[0].code == 0:  # what verify calls sound every other command takes
        refused = [one for one in outcomes if one.code and one.command[0] not in ("merge", "show", "add-view")]
        assert not refused, refused


@given(changed=CHANGES)
def test_whatever_was_changed_ends_in_an_answer_or_a_sentence(
    place: Path, process: Process, changed: dict[str, bytes]
) -> None:
    _check(place, process, changed)


@pytest.mark.slow
@given(changed=CHANGES)
@settings(max_examples=4_000)
def test_and_so_do_thousands(place: Path, process: Process, changed: dict[str, bytes]) -> None:
    _check(place, process, changed)
