"""verify finds every flipped byte and names its file; and where hashes are right, every content that is wrong."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pcdata.codecs.base import Codec, decode_fault
from pcdata.dataset import DatasetError, Manifest
from pcdata.dataset.columns import Unsigned, ViewColumns
from pcdata.dataset.manifest import (
    MANIFEST,
    REJECTS,
    Amount,
    BaseShard,
    ViewShard,
    base_fingerprint,
    load_manifest,
    view_fingerprint,
)
from pcdata.errors import OptionError
from pcdata.processes.isolated import Limits
from pcdata.verifying import children
from pcdata.verifying.children import Checker, Children, Task
from pcdata.verifying.findings import REBUILD, Checked
from pcdata.verifying.verify import VerifyReport, verify, work_bytes
from tests.dataset.plugged import plug_in
from tests.dataset.written import reseal, sample_rows, save, write_dataset


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    write_dataset(folder)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(sound, tmp_path / "dataset")


def rewrite(folder: Path, path: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of an Arrow file, block by block, and reseal."""
    with pa.memory_map(str(folder / path)) as source:
        table = pa.ipc.open_file(source).read_all()
        sizes = [batch.num_rows for batch in table.to_batches()]
        rows = table.to_pylist()
    change(rows)
    with pa.ipc.new_file(str(folder / path), table.schema) as writer:
        for size in sizes:
            writer.write_batch(pa.RecordBatch.from_pylist(rows[:size], schema=table.schema))
            rows = rows[size:]
    reseal(folder)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without children: for what is not about them, since each takes half a second to start."""

    class Here:
        def __init__(self, folder: Path, sample: float | None, workers: int, progress: Callable[[int], None]) -> None:
            self._checker = Checker(folder, sample)
            self._progress = progress

        def start(self) -> None:
            pass

        def check(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Checked]]:
            return ((task, self._checker.check(task, self._progress)) for task in tasks)

        def close(self) -> None:
            pass

    monkeypatch.setattr("pcdata.verifying.verify.Children", Here)


def texts(report: VerifyReport) -> list[str]:
    return [str(finding) for finding in report.findings]


@pytest.mark.parametrize(("quick", "started"), [(False, [0]), (True, [])])
def test_a_child_starts_before_the_first_hash(
    sound: Path, monkeypatch: pytest.MonkeyPatch, quick: bool, started: list[int]
) -> None:
    """So that it is ready when there is something to parse; where nothing will be parsed, none starts."""
    done, start, at = [0], Children.start, list[int]()

    def noted(self: Children) -> None:
        at.append(done[0])
        start(self)

    def progress(count: int) -> None:
        done[0] += count

    monkeypatch.setattr(Children, "start", noted)
    assert verify(sound, quick=quick, progress=progress).ok
    assert at == started
    assert done[0] > 0


def test_a_sound_dataset_is_sound_and_wholly_decoded(sound: Path) -> None:
    done: list[int] = []
    report = verify(sound, workers=2, progress=done.append)
    assert report.ok, report.render()
    assert (report.documents, report.files, report.decoded) == (30, 19, 90)
    assert sum(done) == work_bytes(load_manifest(sound), quick=False)
    assert report.bytes == sum(path.stat().st_size for path in sound.rglob("*") if path.is_file())
    assert "30 documents in 3 views, 90 of 90 decoded" in report.render()
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


@pytest.mark.usefixtures("in_process")
def test_a_sample_is_said_and_is_the_same_each_time(sound: Path) -> None:
    reports = [verify(sound, sample=share) for share in (0.3, 0.3, 1.0)]
    assert 0 < reports[0].decoded == reports[1].decoded < reports[2].decoded == 90
    assert "a sample of 0.3" in reports[0].render()
    for share in (0.0, -1.0, 1.5):
        with pytest.raises(OptionError, match="--sample must be above 0"):
            verify(sound, sample=share)


def test_quick_hashes_only(sound: Path) -> None:
    done: list[int] = []
    report = verify(sound, quick=True, progress=done.append)
    assert (report.ok, report.decoded) == (True, 0)
    assert sum(done) == work_bytes(load_manifest(sound), quick=True)
    assert "not decoded (--quick)" in report.render()


def test_every_flipped_byte_is_found_and_its_file_named(folder: Path) -> None:
    """Quick, since it is the hash that finds them; the manifest's flips are all tried in its own test."""
    rng = random.Random(5)
    flips = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        good = path.read_bytes()
        for position in sorted({0, len(good) - 1, *rng.sample(range(len(good)), min(25, len(good)))}):
            data = bytearray(good)
            data[position] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
            if name == MANIFEST:
                with pytest.raises(DatasetError, match=MANIFEST):
                    verify(folder, quick=True)
            else:
                assert [finding.file for finding in verify(folder, quick=True).findings] == [name], position
            flips += 1
        path.write_bytes(good)
    assert flips > 19 * 20


def test_a_flipped_file_does_not_hide_the_others(folder: Path) -> None:
    """The whole command: damaged files are not parsed, what can still be checked is."""
    for name in ("base/train-00001.arrow", "views/bpe/artifact/tokenizer.json", "views/zstd/train-00000.arrow"):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 4
        (folder / name).write_bytes(data)
    report = verify(folder)
    assert sorted(finding.file for finding in report.findings) == [
        "base/train-00001.arrow",
        "views/bpe/artifact/tokenizer.json",
        "views/zstd/train-00000.arrow",
    ]
    assert report.decoded == (30 - 12) + (30 - 24)  # gzip without shard 1; zstd without 0 and 1; no bpe


@pytest.mark.parametrize("seed", range(3))
def test_flips_under_a_right_hash_never_crash_the_command(folder: Path, seed: int) -> None:
    """Whoever wrote these files hashed rubbish: a child may die of it, the command says so."""
    rng = random.Random(seed)
    for path in folder.rglob("*.arrow"):
        data = bytearray(path.read_bytes())
        for _ in range(2):
            data[rng.choice([rng.randrange(len(data)), -rng.randrange(1, 700)])] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    reseal(folder)
    report = verify(folder, workers=2)
    assert report.findings
    assert all("\n" not in str(finding) for finding in report.findings)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "base/val-00000.arrow").unlink(), "base/val-00000.arrow: it is missing; restore"),
        (lambda folder: (folder / REJECTS).write_bytes(b""), "rejects.jsonl: it has 0 bytes, the manifest says"),
        (lambda folder: (folder / "base/new.arrow").touch(), "base/new.arrow: the manifest does not list it"),
        (lambda folder: (folder / "base/new\x1b[2J").touch(), "base/new␛[2J: the manifest does not list it"),
        (lambda folder: (folder / "base/x.7.tmp").touch(), "base/x.7.tmp: it was left by an interrupted write"),
        (
            lambda folder: (folder / ".build/scan").mkdir(parents=True),
            ".build: it is the state of an interrupted command",
        ),
        (lambda folder: (folder / "link").symlink_to(folder), "link: the manifest does not list it"),
    ],
    ids=["missing", "cut", "unlisted", "hostile name", "temporary", "unfinished", "link"],
)
def test_files_that_should_or_should_not_be_there(folder: Path, damage: Callable[[Path], None], says: str) -> None:
    damage(folder)
    found = texts(verify(folder, quick=True))
    assert len(found) == 1
    assert found[0].startswith(says)


def _set(row: int, column: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[row][column] = value(rows[row][column]) if callable(value) else value

    return change


def _longer(lengths: list[int]) -> list[int]:
    return [*lengths[:-1], lengths[-1] + 1]


def _shifted(lengths: list[int]) -> list[int]:
    return [lengths[0] + 1, lengths[1] - 1, *lengths[2:]]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        ("base/train-00000", _set(6, "raw", b"other"), "block 1, row 2: doc_id is not the hash of raw"),
        ("base/train-00000", _set(6, "part_start_bytes", 10), "block 1, row 2: it is a part from byte 10 on"),
        ("base/train-00001", _set(0, "part_start_bytes", 7), "block 0, row 0: it is a part from byte 7 on"),
        ("base/train-00000", _set(6, "document_bytes", 999), "block 1, row 3: it is a part from byte 0 on"),
        ("base/val-00000", _set(0, "document_bytes", 999), "the last row is not the end of its document"),
        ("base/train-00000", _set(0, "lang", "cobol"), "manifest.json: language cobol has 1 documents"),
        ("views/gzip/train-00000", _set(1, "doc_id", b"x" * 16), "row 1: doc_id is not the base file's"),
        ("views/gzip/train-00000", _set(1, "unit_symbols", _longer), "row 1: its units do not end where symbols do"),
        ("views/zstd/train-00000", _set(1, "unit_symbols", _shifted), "row 1: the symbols do not decode"),
        ("views/bpe/train-00000", _set(2, "unit_bytes", _longer), "row 2: its units do not end where raw does"),
        ("views/bpe/train-00000", _set(2, "unit_bytes", lambda u: [0, u[0] + u[1], *u[2:]]), "unit_bytes has 0"),
        ("views/bpe/train-00000", _set(2, "symbols", lambda s: [*s[:-1], 300]), "symbols has 300, allowed is 0 … 299"),
        ("views/bpe/train-00000", _set(2, "symbols", lambda s: [s[0] ^ 1, *s[1:]]), "row 2: the symbols decode to"),
    ],
)
def test_wrong_content_under_a_right_hash(
    folder: Path, path: str, change: Callable[[list[dict[str, Any]]], None], says: str
) -> None:
    rewrite(folder, f"{path}.arrow", change)
    found = texts(verify(folder))
    assert any(says in text and (path in text or says.startswith(MANIFEST)) for text in found), found


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("at_once", [1, 300, 1 << 18])
def test_documents_are_decoded_a_few_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """So that a process gives signs of life; which documents stand together changes nothing of what is found."""
    monkeypatch.setattr("pcdata.verifying.check_view._DECODED_AT_ONCE", at_once)
    done: list[int] = []
    report = verify(folder, progress=done.append)
    assert (report.ok, report.decoded, sum(done)) == (True, 90, work_bytes(load_manifest(folder), quick=False))
    for view, row in (("bpe", 6), ("zstd", 7), ("gzip", 7)):
        rewrite(folder, f"views/{view}/train-00000.arrow", _set(row, "symbols", lambda s: [s[0] ^ 1, *s[1:]]))
    found = texts(verify(folder))
    places = [text.partition(":")[0] for text in found]
    assert places == [
        f"views/{view}/train-00000.arrow block 1, row {row}" for view, row in (("bpe", 2), ("zstd", 3), ("gzip", 3))
    ], found


class _Lax(Codec):
    """Decodes without a look at the units' lengths."""

    def __init__(self, independent: bool) -> None:
        self.units_independent = independent

    def encode(self, documents: Sequence[bytes]) -> ViewColumns:
        raise NotImplementedError

    def decode(self, symbols: Unsigned, unit_bytes: Unsigned, unit_symbols: Unsigned | None) -> bytes:
        return symbols.tobytes()


@pytest.mark.parametrize("independent", [True, False])
def test_an_alignment_that_lies_is_found_where_decoding_does_not_need_it(independent: bool) -> None:
    raw = np.frombuffer(b"abcdefgh", np.uint8)
    ends, units = np.array([0, 8]), np.array([0, 3])
    columns = ViewColumns(raw, ends, np.array([2, 4, 2], np.uint8), np.array([2, 3, 3], np.uint8), units)
    faults = [decode_fault(_Lax(independent), columns, 0, raw.tobytes(), number) for number in range(6)]
    lies = [fault is not None for fault in faults]
    assert lies == ([False, True, True] * 2 if independent else [False, True, False] * 2)
    assert faults[1] == "unit 1 does not encode the bytes at its alignment points"


@pytest.mark.usefixtures("in_process")
def test_many_findings_in_one_file_are_cut_short(folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["raw"] += b"!"

    rewrite(folder, "base/train-00000.arrow", change)
    found = [text for text in texts(verify(folder)) if "base/train-00000.arrow" in text]
    assert len(found) == 11
    assert "there is more like this" in found[-1]


def _manifest_change(manifest: Manifest, name: str) -> Manifest:
    base, (bpe, zstd, gzip) = manifest.base, manifest.views
    train = base.splits["train"]
    changed: dict[str, Manifest] = {
        "fingerprint": replace(manifest, base=replace(base, fingerprint="0" * 32)),
        "view fingerprint": replace(manifest, views=(replace(bpe, fingerprint="1" * 32), zstd, gzip)),
        "slot": replace(manifest, views=(bpe, replace(zstd, slot=0), gzip)),
        "ids": replace(manifest, views=(bpe, replace(zstd, first_id=600), gzip)),
        "next_id": replace(manifest, next_id=800),
        "raw ids": replace(manifest, views=(bpe, zstd, replace(gzip, first_id=320))),
        "histogram": replace(manifest, views=(bpe, zstd, replace(gzip, unit_bytes_histogram=(0, 1)))),
        "rejects": replace(manifest, rejects={"binary": 2}),
        "languages": replace(manifest, base=replace(base, languages={"python": Amount(30, 7437)})),
        "documents": _with_train(manifest, (replace(train[0], documents=11), *train[1:])),
        "raw_bytes": _with_train(manifest, (replace(train[0], raw_bytes=11), *train[1:])),
        "symbols": _with_view_train(manifest, (replace(zstd.splits["train"][0], symbols=3), *zstd.splits["train"][1:])),
        "order": _with_view_train(manifest, zstd.splits["train"][::-1]),
    }
    return changed[name]


def _with_train(manifest: Manifest, shards: Sequence[BaseShard]) -> Manifest:
    base = replace(manifest.base, splits={**manifest.base.splits, "train": tuple(shards)})
    return replace(manifest, base=replace(base, fingerprint=base_fingerprint(base.splits)))


def _with_view_train(manifest: Manifest, shards: Sequence[ViewShard]) -> Manifest:
    bpe, zstd, gzip = manifest.views
    zstd = replace(zstd, splits={**zstd.splits, "train": tuple(shards)})
    return replace(manifest, views=(bpe, replace(zstd, fingerprint=view_fingerprint(zstd)), gzip))


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fingerprint", "manifest.json: base: the fingerprint is 0000"),
        ("view fingerprint", "manifest.json: view bpe: the fingerprint is 1111"),
        ("slot", "manifest.json: view bpe: another view has its slot 0"),
        ("ids", "manifest.json: view zstd: its ids 600 … 855 are another view's too"),
        ("next_id", "manifest.json: view zstd: its ids 620 … 875 are not in 320 … 799"),
        ("raw ids", "manifest.json: view gzip: it shares the ids of the bytes, but has 320"),
        ("histogram", "manifest.json: view gzip: unit_bytes_histogram is not that of its units"),
        ("rejects", "rejects.jsonl: 1 lines say 'binary', the manifest counts 2"),
        ("languages", "manifest.json: language python has 20 documents of 7,013 bytes, not 30 of 7,437"),
        ("documents", "manifest.json: base/train-00000.arrow has 11 documents, but its blocks 12"),
        ("raw_bytes", "raw bytes, the manifest says 11"),
        ("symbols", "symbols, the manifest says 3"),
        ("order", "manifest.json: the files of split train in views/zstd are not 3 shards counted from 00000"),
    ],
)
def test_a_manifest_that_contradicts_itself_or_the_files(folder: Path, name: str, says: str) -> None:
    save(folder, _manifest_change(load_manifest(folder), name))
    found = texts(verify(folder))
    assert any(says in text for text in found), found


_DEADLY = """
import os, signal
from pcdata.codecs.gzip import GzipCodec
class Deadly(GzipCodec):
    def decode(self, *columns):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_a_child_that_dies_is_a_finding(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(tmp_path / "plugin", _DEADLY, monkeypatch)
    manifest = load_manifest(folder)
    bpe, zstd, gzip = manifest.views
    save(folder, replace(manifest, views=(bpe, zstd, replace(gzip, codec="deadly"))))
    reseal(folder)
    report = verify(folder)
    assert report.decoded == 60
    given_up = ", as others did; no more files of this view were checked"
    assert sorted(texts(report)) == [
        f"views/gzip/{name}.arrow: the process that read it died (SIGSEGV){more}; {REBUILD}"
        for name, more in (("train-00000", ""), ("train-00001", ""), ("train-00002", given_up))
    ]


_FAULTS = {
    "dies": ("os.kill(os.getpid(), signal.SIGSEGV)", "died (SIGSEGV)"),
    "never ends": ("while True: pass", "took more than 1 seconds of processor time"),
    "wants all memory": ("self.all = bytes(2_000_000_000)", "would take more than 1 GB of memory"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_codec_that_kills_when_it_is_opened_is_found_once_and_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    work, says = _FAULTS[fault]
    source = f"def __init__(self, *given):\n        {work}"
    plugin = _DEADLY.partition("def")[0].replace("gzip", "bpe").replace("Gzip", "Bpe") + source + "\n"
    plug_in(tmp_path / "plugin", plugin, monkeypatch)
    bpe, zstd, gzip = load_manifest(folder).views
    save(folder, replace(load_manifest(folder), views=(replace(bpe, codec="deadly"), zstd, gzip)))
    reseal(folder)
    monkeypatch.setattr(children, "_LIMITS", Limits(memory_bytes=1_000_000_000, cpu_seconds=1))
    report = verify(folder)
    assert report.decoded == 60
    artifact = "views/bpe/artifact/tokenizer.json"
    assert texts(report) == [f"{artifact}: the process that opened the codec of view bpe {says}; {REBUILD}"]


_LIES: dict[str, dict[str, Any]] = {
    "n_symbols is 257, that of its codec is 256": {"n_symbols": 257},
    "max_unit_bytes is 65, that of its codec is 256": {"max_unit_bytes": 65},
    "max_unit_symbols is 70, that of its codec is": {"max_unit_symbols": 70},
    "units_independent is": {"units_independent": None},
    "unit_bytes_histogram has units of no bytes, or ends in zeros": {"unit_bytes_histogram": (0, 1, 0)},
    "unit_bytes_histogram counts 1 units, its files": {"unit_bytes_histogram": (0, 1)},
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("says", _LIES)
def test_what_a_manifest_says_of_a_codec_is_held_against_it(folder: Path, says: str) -> None:
    manifest = load_manifest(folder)
    bpe, zstd, gzip = manifest.views
    changed = _LIES[says] if "units_independent" not in says else {"units_independent": not zstd.units_independent}
    save(folder, replace(manifest, views=(bpe, replace(zstd, **changed), gzip)))
    reseal(folder)
    found = texts(verify(folder))
    assert any(says in text and text.startswith(MANIFEST) and " zstd" in text for text in found), found


@pytest.mark.usefixtures("in_process")
def test_only_symbols_that_are_bytes_share_their_ids(folder: Path) -> None:
    bpe, *others = load_manifest(folder).views
    save(folder, replace(load_manifest(folder), views=(replace(bpe, ids="raw", first_id=64), *others)))
    assert any(
        "view bpe shares the ids of the bytes, but its symbols are not bytes" in text for text in texts(verify(folder))
    )


@pytest.mark.usefixtures("in_process")
def test_views_are_those_that_the_options_ask_for(folder: Path) -> None:
    manifest = load_manifest(folder)
    keys = ("name", "codec", "parameters", "ids")
    asked = [{**{key: getattr(view, key) for key in keys}, "artifact": None} for view in manifest.views]
    save(folder, replace(manifest, options={**manifest.options, "compressors": asked}))
    assert verify(folder).ok
    for wrong in (asked[:2], [*asked, asked[0]], [*asked[:2], {**asked[2], "codec": "zstd"}]):
        save(folder, replace(manifest, options={**manifest.options, "compressors": wrong}))
        assert ["options.compressors" in text for text in texts(verify(folder))] == [True]
    save(folder, replace(manifest, options={**manifest.options, "compressors": asked, "max_line_bytes": "x"}))
    assert [text.partition(" (")[0] for text in texts(verify(folder))] == [f"{MANIFEST}: its options are no build's"]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b"7", b"{}", b'{"file": "a", "position": 0, "reason": [], "detail": ""}', b'"' + b"x" * 2_000_000],
    ids=["deep", "number", "empty", "list for a reason", "long"],
)
def test_rejects_that_are_none(folder: Path, line: bytes) -> None:
    (folder / REJECTS).write_bytes(line + b"\n")
    reseal(folder)
    found = texts(verify(folder))
    assert len(found) == 1 or "the manifest counts" in found[-1]
    assert found[0].startswith("rejects.jsonl: line 1 is not an object of detail, file, position, reason")


@pytest.mark.usefixtures("in_process")
def test_an_unknown_codec_is_a_finding(folder: Path) -> None:
    manifest = load_manifest(folder)
    save(folder, replace(manifest, views=tuple(replace(view, codec="gone") for view in manifest.views)))
    reseal(folder)
    found = texts(verify(folder))
    assert len(found) == 3
    assert all("its codec does not open (view " in text and "unknown compressor 'gone'" in text for text in found)


@pytest.mark.usefixtures("in_process")
def test_a_dataset_without_views_verifies(tmp_path: Path) -> None:
    write_dataset(tmp_path, sample_rows(), views=())
    report = verify(tmp_path)
    assert report.ok
    assert "30 documents in 0 views, 0 of 0 decoded" in report.render()
