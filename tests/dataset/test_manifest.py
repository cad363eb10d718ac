"""manifest.json: reads back what was written, refuses everything else, and is what FORMAT.md says it is."""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from dataclasses import replace
from pathlib import Path
from typing import Any

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


_HUGE = 10**30
_WRONG: list[tuple[str, Any]] = [
    *(("next_slot", value) for value in (-1, 30, _HUGE, True, 1.0, None)),
    *(("next_id", value) for value in (-1, _HUGE, "1")),
    *(("rejects.binary", value) for value in (-1, _HUGE, False)),
    *(("rejects_file.bytes", value) for value in (-1, _HUGE)),
    *(("rejects_file.sha256", value) for value in ("", "0" * 63, "G" * 64, "0" * 64 + "\n")),
    *(("base.languages.python.documents", value) for value in (-1, _HUGE)),
    *(("base.splits.train.0.documents", value) for value in (-1, 10**9, _HUGE)),
    *(("base.splits.train.0.raw_bytes", value) for value in (-1, 10**9, _HUGE)),
    *(("base.splits.train.0.block_documents", value) for value in ([0, 12], [-1, 13], [10**9], [_HUGE], 12, [4.0])),
    *((f"views.1.splits.train.0.{name}", value) for name in ("symbols", "units") for value in (-1, 10**9, _HUGE)),
    ("views.1.splits.train", []),
    ("views.1.splits", {}),
    *(("views.1.slot", value) for value in (-1, 29, _HUGE)),
    *(("views.1.first_id", value) for value in (-1, _HUGE)),
    *(("views.1.n_symbols", value) for value in (-1, 0, 2**32 + 1, _HUGE, True)),
    *((f"views.1.max_unit_{name}", value) for name in ("bytes", "symbols") for value in (-1, 0, 2**32, _HUGE)),
    *(("views.1.unit_bytes_histogram", value) for value in ([0] * 34, [-1], [_HUGE], [None])),
    *(("views.1.name", value) for value in ("raw", "bpe", "", "a/b", "..", "x.tmp", "\ud800")),
    ("views.1.ids", "both"),
    ("views.1.units_independent", 1),
    *(("views.1.versions", value) for value in ({"a": 1}, {"\ud800": "1"}, {"a": "\ud800"})),
    ("views.1.parameters", {"size": "\ud800"}),
    *(("options", {"keep": value}) for value in (7, ["a:b"], ["raw"], ["a", "a:int64"], [7], "ab")),
    *(("options", {"compressors": value}) for value in (7, [7], [{}], [{"name": 7}])),
    *(("options", {"shard_bytes": value}) for value in (-1, "1", True, _HUGE)),
    *(("options", {"fit_bytes": value}) for value in (-1, None, [])),
    *(("options", {"inputs": value}) for value in (7, [7], None)),
    ("options", functools.reduce(lambda deep, _: {"x": deep}, range(20), {})),
]


@pytest.mark.parametrize(("key", "value"), _WRONG, ids=lambda part: repr(part)[:40])
def test_values_that_no_manifest_has_are_refused(written: tuple[Path, Manifest], key: str, value: Any) -> None:
    body = json.loads(written[1].to_bytes())
    *path, last = [int(name) if name.isdigit() else name for name in key.split(".")]
    functools.reduce(operator.getitem, path, body)[last] = value
    with pytest.raises(DatasetError, match=r"^here is (none of format version 1: |damaged: it is not JSON)") as caught:
        Manifest.from_bytes(_sealed((json.dumps(body, indent=1) + "\n").encode()), "here")
    message = str(caught.value)
    assert len(message) < 300
    message.encode()


def test_a_file_of_another_format_is_refused(written: tuple[Path, Manifest]) -> None:
    body = json.loads(written[1].to_bytes())
    for other in ({**body, "format": "x"}, {key: value for key, value in body.items() if key != "format"}):
        with pytest.raises(DatasetError, match="here is another program's"):
            Manifest.from_bytes(_sealed((json.dumps(other, indent=1) + "\n").encode()), "here")


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900])
def test_deep_nesting_is_refused(written: tuple[Path, Manifest], deep: bytes) -> None:
    text = written[1].to_bytes().replace(b'"options": {', b'"options": {"x": ' + deep + b",", 1)
    with pytest.raises(DatasetError, match=r"it is not JSON|nested deeper than"):
        Manifest.from_bytes(_sealed(text), "here")


def test_a_manifest_is_not_read_past_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path)
    monkeypatch.setattr("pcdata.dataset.manifest.MAX_MANIFEST_BYTES", 1000)
    with pytest.raises(DatasetError, match="has more than 1,000 bytes; build larger shards"):
        load_manifest(tmp_path)


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
