"""Files of every format, damaged in every way: what comes before the damage is read, what is not read is said, both
passes see the same, and nothing else happens. ``make test-deep`` tries thousands."""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import random
import resource
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcdata.cli import main
from pcdata.inputs import table_process
from pcdata.inputs.options import InputOptions
from pcdata.inputs.records import EntryReader, Piece, Reject, scan_entry
from pcdata.inputs.sources import Entry, find_entries
from pcdata.inputs.table_process import end_table_process
from pcdata.processes.isolated import Limits

TEXTS = [(f"document {number}: " + "x = 1\n" * (number % 40)).encode() for number in range(60)]
MORE_MEMORY = 400_000_000
"""How much more than before this process may have held at the end; the files here have 100 kB."""


@dataclass(frozen=True)
class Sample:
    """A sound file of ``TEXTS``."""

    name: str
    data: bytes
    before: Callable[[int], int] = lambda place: 0
    """How many records lie wholly before a byte, at least."""
    is_checked: bool = False
    """Whether each byte is under a checksum, so that no damage can go unseen."""


def _lines(texts: list[bytes]) -> bytes:
    return b"".join(
        json.dumps({"text": text.decode(), "path": f"{n}.py"}).encode() + b"\n" for n, text in enumerate(texts)
    )


def _jsonl() -> Sample:
    data = _lines(TEXTS)
    return Sample("a.jsonl", data, lambda place: data[:place].count(b"\n"))


def _gzip() -> Sample:
    data = gzip.compress(_lines(TEXTS[:30])) + gzip.compress(_lines(TEXTS[30:]))
    return Sample("a.jsonl.gz", data, lambda place: _gunzipped(data[:place]).count(b"\n"), True)


def _gunzipped(data: bytes) -> bytes:
    found = b""
    while data:
        inflater = zlib.decompressobj(31)
        found += inflater.decompress(data)
        data = inflater.unused_data
    return found


def _zstd() -> Sample:
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    pieces = [stream.compress(_lines(TEXTS[at : at + 9])) + stream.flush(flush) for at in range(0, len(TEXTS), 9)]
    data = b"".join(pieces) + stream.flush()
    return Sample("a.jsonl.zst", data, lambda place: _unzstd(data[:place]).count(b"\n"), True)


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _tar(kind: int, name: str = "a.tar", long: int = 0) -> Sample:
    file = io.BytesIO()
    ends = []
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for number, text in enumerate(TEXTS):
            member = tarfile.TarInfo(f"{'long/' * (long * number % 40)}{number}.py")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
            ends.append(tar.offset)
    data = file.getvalue()
    if name.endswith(".zst"):
        return Sample(name, zstandard.compress(data))
    return Sample(name, data, lambda place: sum(end <= place for end in ends))


def _table() -> pa.Table:
    return pa.table({"text": pa.array(TEXTS, pa.binary()), "path": [f"{n}.py" for n in range(60)], "n": range(60)})


def _parquet(**more: Any) -> Sample:
    file = io.BytesIO()
    pq.write_table(_table(), file, **{"row_group_size": 25, "data_page_size": 512, "write_batch_size": 4, **more})
    return Sample("a.parquet", file.getvalue())


def _arrow(new: Any, compression: str | None = None, dictionary: bool = False) -> Sample:
    table = _table()
    if dictionary:
        table = table.set_column(1, "path", table["path"].dictionary_encode())
    file = io.BytesIO()
    with new(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=25)
    return Sample("a.arrow", file.getvalue())


SAMPLES: dict[str, Callable[[], Sample]] = {
    "jsonl": _jsonl,
    "gzip": _gzip,
    "zstd": _zstd,
    "tar ustar": functools.partial(_tar, tarfile.USTAR_FORMAT),
    "tar gnu": functools.partial(_tar, tarfile.GNU_FORMAT, long=1),
    "tar pax": functools.partial(_tar, tarfile.PAX_FORMAT, long=1),
    "tar zstd": functools.partial(_tar, tarfile.GNU_FORMAT, "a.tar.zst", long=1),
    "parquet": functools.partial(_parquet, compression="none", use_dictionary=False),
    "parquet dictionary": functools.partial(_parquet, compression="zstd"),
    "parquet checked": functools.partial(_parquet, write_page_checksum=True, data_page_version="2.0"),
    "arrow": functools.partial(_arrow, pa.ipc.new_file),
    "arrow compressed": functools.partial(_arrow, pa.ipc.new_file, "zstd", dictionary=True),
    "stream": functools.partial(_arrow, pa.ipc.new_stream, dictionary=True),
    "stream compressed": functools.partial(_arrow, pa.ipc.new_stream, "lz4"),
}
sample = functools.cache(lambda name: SAMPLES[name]())

Damage: TypeAlias = tuple[str, float, int, bytes]
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 1 << 20, 0x7FFFFFFF, -1, -2, -(1 << 31), 1 << 40, (1 << 63) - 1)
DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "number", "octal", "cut", "drop", "insert", "repeat", "zero", "append"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 1 << 16),
        st.binary(min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, damages: list[Damage]) -> tuple[bytes, int]:
    """The data with these damages, and the first byte that is another."""
    whole = data
    for kind, where, size, more in damages:
        at, span = int(where * len(data)), 1 + size % 600
        rest = data[at:]
        if kind == "flip":
            rest = bytes(byte ^ one for byte, one in zip(rest, more, strict=False)) + rest[len(more) :]
        elif kind == "number":
            number = NUMBERS[size % len(NUMBERS)]
            width = 8 if size % 3 or not -(1 << 31) <= number < 1 << 31 else 4
            rest = number.to_bytes(width, "little", signed=True) + rest[width:]
        elif kind == "octal":
            data, at = data[: at - at % 512 + 124], at - at % 512 + 124  # where a tar header has the size
            rest = b"%011o\0" % (size << size % 24) + whole[at + 12 :]
        elif kind == "cut":
            rest = b""
        elif kind == "drop":
            rest = rest[span:]
        elif kind == "insert":
            rest = more + rest
        elif kind == "repeat":
            rest = rest[:span] * 2 + rest[span:]
        elif kind == "zero":
            rest = bytes(len(rest[:span])) + rest[span:]
        else:
            data, rest, at = data + whole, b"", len(data)
        data = data[:at] + rest
    first = next((n for n, (one, other) in enumerate(zip(whole, data, strict=False)) if one != other), None)
    return data, min(len(whole), len(data)) if first is None else first


@pytest.fixture(scope="module", autouse=True)
def _bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits, table_process.LIMITS = table_process.LIMITS, Limits(memory_bytes=300_000_000, cpu_seconds=20)
    end_table_process()
    yield
    end_table_process()
    table_process.LIMITS = limits
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE_MEMORY >> 10


def scanned(path: Path) -> tuple[Entry, list[Piece], list[Reject]]:
    (entry,) = find_entries(InputOptions((path,)))
    assert isinstance(entry, Entry)
    found = [*scan_entry(InputOptions((path,)), entry)]
    return entry, [one for one in found if isinstance(one, Piece)], [one for one in found if isinstance(one, Reject)]


fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sound_file_is_read(name: str, tmp_path: Path) -> None:
    """Otherwise what follows says nothing."""
    path = tmp_path / sample(name).name
    path.write_bytes(sample(name).data)
    _, pieces, rejects = scanned(path)
    assert ([piece.raw for piece in pieces], rejects) == (TEXTS, [])
    assert sample(name).before(len(sample(name).data)) in (0, len(TEXTS))


@pytest.mark.parametrize("name", SAMPLES)
@fuzzed
@given(damages=DAMAGES, seed=st.integers(0, 1 << 32))
def test_what_is_before_the_damage_is_read_and_what_is_not_is_said(
    name: str, damages: list[Damage], seed: int, tmp_path: Path
) -> None:
    of = sample(name)
    data, place = damaged(of.data, damages)
    path = tmp_path / of.name
    path.write_bytes(data)
    entry, pieces, rejects = scanned(path)
    found = [piece.raw for piece in pieces]
    whole = of.before(place)
    assert found[:whole] == TEXTS[:whole]
    if name == "jsonl":
        assert len(found) + len(rejects) == sum(bool(line.strip()) for line in io.BytesIO(data))
    if of.name == "a.tar" and not rejects:
        blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
        assert len(found) >= sum(block[257:262] == b"ustar" and block[156:157] == b"0" for block in blocks)
    if of.is_checked and not rejects:
        assert found == TEXTS[: len(found)] or found[: len(TEXTS)] == TEXTS
        assert data.startswith(of.data) or len(found) in (0, 30, 60)  # at the end of a gzip member
    if len(found) < len(TEXTS) and data == of.data[: len(data)] and name != "stream":
        assert rejects or whole == len(found)
    chosen = random.Random(seed).sample(pieces, random.Random(seed).randint(0, len(pieces)))
    with closing(EntryReader(InputOptions((path,)), entry)) as reader:
        for piece in sorted(chosen, key=lambda one: (one.offset, one.start)):
            raw, metadata = reader.read(piece.line, piece.offset, piece.start, len(piece.raw))
            assert (raw, metadata) == (piece.raw, piece.metadata)


def _built(folder: Path, output: Path, workers: int) -> tuple[int, dict[str, bytes]]:
    """Exit code, and files of the dataset."""
    line = [
        "build",
        folder,
        "-o",
        output,
        "-j",
        workers,
        "-q",
        "--val-fraction",
        "0",
        "-c",
        "doublebyte",
        "--keep",
        "n",
    ]
    done = CliRunner().invoke(main, [str(word) for word in line])
    assert done.exit_code == 0 or (done.exit_code == 1 and done.stderr.count("\n") <= 2), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    files = output.rglob("*") if output.exists() else ()
    return done.exit_code, {str(path.relative_to(output)): path.read_bytes() for path in files if path.is_file()}


ODD_NAMES = st.binary(min_size=1, max_size=30).filter(
    lambda name: not set(name) & {0, ord("/")} and name not in (b".", b"..")
)


@fuzzed
@given(
    files=st.lists(
        st.tuples(st.lists(ODD_NAMES, min_size=1, max_size=3), st.sampled_from(sorted(SAMPLES)), DAMAGES), max_size=5
    ),
    links=st.lists(st.tuples(ODD_NAMES, ODD_NAMES), max_size=3),
    format=st.sampled_from(["auto", "jsonl", "parquet", "arrow", "tar"]),
)
def test_a_build_from_a_tree_of_anything_ends_well(
    files: Any, links: Any, format: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("tree")
    (place / "in").mkdir()
    for names, kind, damages in files:
        of = sample(kind)
        path = place / "in" / os.fsdecode(b"/".join(names))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Path(f"{path}{of.name[1:]}").write_bytes(damaged(of.data, damages)[0])
        except OSError:
            continue  # a file where a folder should be
    for name, target in links:
        link = place / "in" / os.fsdecode(name)
        if not os.path.lexists(link):
            link.symlink_to(os.fsdecode(target))
    before = sorted(place.rglob("*"))
    done = CliRunner().invoke(
        main,
        ["build", str(place / "in"), "-o", str(place / "out"), "-j1", "-q", "--format", format, "--val-fraction", "0"],
    )
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert [path for path in sorted(place.rglob("*")) if not path.is_relative_to(place / "out")] == before
    assert (done.exit_code == 0) == (place / "out" / "manifest.json").exists()


STATE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["a.arrow", "../x.arrow", ".", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["splits", "_data_files", "filename", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@fuzzed
@given(state=STATE, splits=STATE, of=st.sampled_from(["stream", "stream compressed"]), damages=DAMAGES)
def test_a_build_from_a_saved_folder_ends_well(
    state: Any, splits: Any, of: str, damages: list[Damage], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("saved") / "in"
    (folder / "a").mkdir(parents=True)
    (folder.parent / "x.arrow").write_bytes(sample("stream").data)
    for path in (folder, folder / "a"):
        (path / "state.json").write_text(json.dumps(state))
        (path / "a.arrow").write_bytes(damaged(sample(of).data, damages)[0])
    (folder / "dataset_dict.json").write_text(json.dumps(splits))
    _built(folder, folder.parent / "out", 1)


@pytest.mark.slow
@settings(fuzzed, max_examples=15)
@given(files=st.lists(st.tuples(st.sampled_from(sorted(SAMPLES)), DAMAGES), min_size=2, max_size=6))
def test_any_number_of_workers_makes_the_same_of_it(
    files: list[tuple[str, list[Damage]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("workers")
    paths = []
    for number, (kind, damages) in enumerate(files):
        (place / f"{number}").mkdir()
        paths.append(place / f"{number}" / sample(kind).name)
        paths[-1].write_bytes(damaged(sample(kind).data, damages)[0])
    found = []
    for workers in (1, 2):
        output = place / f"out{workers}"
        line = ["build", *paths, "-o", output, "-j", workers, "-q", "--val-fraction", "0", "--shard-bytes", "9000"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pcdata.building.scan.TASK_BYTES", 1)
            code = CliRunner().invoke(main, [str(word) for word in line]).exit_code
        files_of = output.rglob("*") if output.exists() else ()
        found.append((code, {path.name: path.read_bytes() for path in files_of if path.is_file()}))
    assert found[0] == found[1]
