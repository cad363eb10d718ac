"""manifest.json: reads back what was written, refuses everything else, and is what FORMAT.md says it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pcdata.dataset import Dataset, DatasetError, Manifest
from pcdata.dataset.manifest import MANIFEST, load_manifest
from tests.dataset.written import write_dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("written")
    return folder, write_dataset(folder)


def _sealed(text: bytes) -> bytes:
    """The digest rule of FORMAT.md, written a second time."""
    rest = text[:14] + text[78:]
    return text[:14] + hashlib.blake2b(rest, digest_size=32, person=b"pcdata.manifest").hexdigest().encode() + text[78:]


def _edited(manifest: Manifest, **fields: object) -> bytes:
    body = json.loads(manifest.to_bytes())
    body.update(fields)
    return _sealed((json.dumps(body, indent=1) + "\n").encode())


def test_reads_back_what_was_written(written: tuple[Path, Manifest]) -> None:
    folder, manifest = written
    assert load_manifest(folder) == manifest
    assert Manifest.from_bytes(manifest.to_bytes(), "here") == manifest
    assert Dataset(folder).manifest.to_bytes() == (folder / MANIFEST).read_bytes()


def test_digest_is_the_one_in_the_text(written: tuple[Path, Manifest]) -> None:
    data = written[1].to_bytes()
    assert data[:14] == b'{\n "digest": "'
    assert _sealed(data) == data
    assert data.isascii()


def test_fingerprints_are_those_in_the_text(written: tuple[Path, Manifest]) -> None:
    def of(content: dict[str, object]) -> str:
        text = json.dumps({"version": 1, **content}, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=16, person=b"pcdata.print").hexdigest()

    folder, manifest = written

    def hashes(pattern: str) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob(pattern))]

    assert manifest.base.fingerprint == of({"files": hashes("base/*.arrow")})
    for view in manifest.views:
        identity = {"codec": view.codec, "parameters": view.parameters, "backends": view.backends}
        artifact = hashes(f"views/{view.name}/artifact/*")
        assert view.fingerprint == of({"files": hashes(f"views/{view.name}/*.arrow"), "artifact": artifact, **identity})
    assert len({manifest.base.fingerprint, *(view.fingerprint for view in manifest.views)}) == 4


def test_every_flipped_bit_of_a_byte_is_refused(written: tuple[Path, Manifest]) -> None:
    data = bytearray(written[1].to_bytes())
    for position in range(len(data)):
        data[position] ^= 1 << (position % 8)
        with pytest.raises(DatasetError, match="here"):
            Manifest.from_bytes(bytes(data), "here")
        data[position] ^= 1 << (position % 8)


def test_cut_or_lengthened_is_refused(written: tuple[Path, Manifest]) -> None:
    data = written[1].to_bytes()
    for other in (b"", b"{}", b"[]", b"null", data[:-1], data[: len(data) // 2], data + b"\n", b"\xff" + data):
        with pytest.raises(DatasetError, match="here is damaged"):
            Manifest.from_bytes(other, "here")


def test_another_version_says_what_to_do(written: tuple[Path, Manifest]) -> None:
    with pytest.raises(DatasetError, match="format version 2, this pcdata reads 1; upgrade pcdata or build"):
        Manifest.from_bytes(_edited(written[1], version=2), "here")


@pytest.mark.parametrize(
    "fields",
    [{"surprise": 1}, {"rejects": []}, {"next_id": "320"}, {"views": [{}]}, {"base": {"splits": {}}}],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_of_another_shape_are_refused(written: tuple[Path, Manifest], fields: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="format version 1"):
        Manifest.from_bytes(_edited(written[1], **fields), "here")


def test_a_folder_that_is_no_dataset_says_why(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist; give the folder that pcdata build wrote"):
        load_manifest(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"is not a dataset .*; run pcdata build first"):
        load_manifest(tmp_path)
    (tmp_path / ".build").mkdir()
    with pytest.raises(DatasetError, match="its build is not finished, run it again"):
        load_manifest(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="file is not a dataset"):
        load_manifest(tmp_path / "file")


def test_lists_every_file_once(written: tuple[Path, Manifest]) -> None:
    folder, manifest = written
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    listed = [entry.path for entry in manifest.files()]
    assert sorted(listed) == sorted(there - {MANIFEST})


def test_ids_of_a_dropped_view_stay_unused(written: tuple[Path, Manifest]) -> None:
    manifest = replace(written[1], views=written[1].views[1:])
    again = Manifest.from_bytes(manifest.to_bytes(), "here")
    assert again.vocabulary.views["zstd"].first_id == 620
    assert (again.next_slot, again.next_id) == (3, 876)
