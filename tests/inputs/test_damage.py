"""A damaged input gives everything before the damage, and says where it begins: nothing is lost in silence."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import tarfile
import zlib
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from pcdata.inputs import streams, tar_headers
from pcdata.inputs.base import Fault
from pcdata.inputs.options import InputOptions
from pcdata.inputs.records import Piece, Reject, scan_entry
from pcdata.inputs.sources import find_entries
from pcdata.inputs.tar import TarMembers

NAMES = ["/abs.py", "../up.py", "dup.py", "dup.py", "x" * 300, "nl\nx", "e\u0301", "\udcff", "slash/", "a/" * 60 + "b"]
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def scanned(path: Path, data: bytes) -> tuple[list[bytes], list[Reject]]:
    path.write_bytes(data)
    asked = InputOptions((path,))
    found = [item for entry in find_entries(asked) for item in scan_entry(asked, entry)]  # type: ignore[arg-type]
    return [item.raw for item in found if isinstance(item, Piece)], [item for item in found if isinstance(item, Reject)]


def archive(names: list[str], kind: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind, encoding="utf-8") as tar:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = 7 * number
            tar.addfile(member, io.BytesIO(b"%07d" % number * number))
        for type_ in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("other")
            member.type, member.linkname = type_, "dup.py"
            tar.addfile(member)
    return file.getvalue()


def members(path: Path) -> list[tuple[int, bytes, bytes | str]]:
    """As we read them: number, name, content or why there is none."""
    with path.open("rb", buffering=0) as file, closing(TarMembers(file, None)) as tar:
        return [
            (located.position, b"", located.found.reason)
            if isinstance(located.found, Fault)
            else (located.position, located.found.fields["path"], located.found.raw)
            for located in tar.scan()
        ]


def members_of_tarfile(path: Path) -> list[tuple[int, bytes, bytes | str]]:
    """As the standard library does, in a locale of UTF-8."""
    with tarfile.open(path, encoding="utf-8") as tar:
        return [
            (number, member.name.encode("utf-8", "surrogateescape"), content.read())
            if (content := tar.extractfile(member) if member.isreg() else None) is not None
            else (number, b"", "symlink" if member.issym() or member.islnk() else "not a file")
            for number, member in enumerate(tar, start=1)
            if not member.isdir()
        ]


@pytest.mark.parametrize("kind", FORMATS)
def test_members_are_those_of_tarfile(kind: str, tmp_path: Path) -> None:
    names = [name for name in NAMES if kind != "ustar" or len(name) < 200]
    (tmp_path / "a.tar").write_bytes(archive(names, FORMATS[kind]))
    found = members(tmp_path / "a.tar")
    assert found == members_of_tarfile(tmp_path / "a.tar")
    assert len(found) == len(names) + 3


@pytest.mark.parametrize("form", ["gnu", "pax 0.0", "pax 0.1", "pax 1.0"])
def test_sparse_members_have_their_holes(form: str, tmp_path: Path) -> None:
    kind, _, version = form.partition(" ")
    random_ = random.Random(7)
    (tmp_path / "s").mkdir()
    for number in range(4):
        with (tmp_path / "s" / f"{number}").open("wb") as file:
            for _ in range(number * 9):
                file.seek(random_.randrange(1, 60) * 4096, os.SEEK_CUR)
                file.write(random_.randbytes(random_.randrange(1, 5_000)))
            file.truncate(file.tell() + 100_000 * (number % 2))
    command = ["tar", "--sparse", f"--format={kind}", *([f"--sparse-version={version}"] if version else [])]
    if subprocess.run([*command, "-C", tmp_path, "-cf", tmp_path / "s.tar", "s"], check=False).returncode:
        pytest.skip("no GNU tar here")
    found = members(tmp_path / "s.tar")
    assert len(found) == 4
    assert found == members_of_tarfile(tmp_path / "s.tar")
    assert all(raw == (tmp_path / os.fsdecode(name)).read_bytes() for _, name, raw in found)


def test_a_flipped_bit_in_a_header_is_never_silent(tmp_path: Path) -> None:
    whole = archive(NAMES, tarfile.GNU_FORMAT)
    wanted, none = scanned(tmp_path / "whole.tar", whole)
    assert len(none) == 3  # links and a fifo
    at = whole.index(b"dup.py")
    damaged = 0
    for bit in random.Random(3).sample(range(512 * 8), 400):
        flipped = bytearray(whole)
        flipped[at + bit // 8] ^= 1 << bit % 8
        found, rejects = scanned(tmp_path / "a.tar", bytes(flipped))
        assert found == wanted or "unreadable" in {reject.reason for reject in rejects}, bit
        damaged += found != wanted
        assert found[:2] == wanted[:2]
    assert damaged > 350


def test_an_archive_that_is_cut_says_so_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = archive(["a", "b", "c"], tarfile.USTAR_FORMAT)
    ends = [512, 1536, 2560, 3072, 3584, 4096, 4608]  # of members, then zeros
    for end in [*range(1, 4700, 97), *ends]:
        for name, data in (("cut.tar", whole[:end]), ("cut.tar.zst", zstandard.compress(whole[:end]))):
            found, rejects = scanned(tmp_path / name, data)
            assert found == [b"", b"0000001", b"0000002" * 2][: sum(end >= at for at in (512, 1031, 2062))], end
            assert [reject for reject in rejects if reject.reason == "unreadable"] or end in ends or end > 4608, end


def test_archives_one_after_another_are_all_read(tmp_path: Path) -> None:
    first, second = archive(["a1", "a2"], tarfile.USTAR_FORMAT), archive(["b1", "b2"], tarfile.GNU_FORMAT)
    both, rejects = scanned(tmp_path / "both.tar", first + bytes(512 * 7) + second)
    assert both == [b"", b"0000001"] * 2
    assert [reject.position for reject in rejects] == [3, 4, 6, 9, 10, 12]
    _, rejects = scanned(tmp_path / "garbage.tar", first + b"garbage".ljust(512, b"!"))
    assert rejects[-1].reason == "unreadable"
    assert f"block at byte {len(first):,} is no tar header" in rejects[-1].detail


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"77777777777\0", b"-0000000001\0"])
@pytest.mark.parametrize("kind", [b"0", b"x", b"L"])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_size_that_cannot_be_ends_at_once(size: bytes, kind: bytes, name: str, tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    header[124:136], header[156:157] = size, kind
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    data = bytes(header) + bytes(1024)
    found, rejects = scanned(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data)
    assert found == []
    assert rejects[-1].reason == "unreadable"


def test_names_are_read_into_memory_only_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive(["x" * 3000], tarfile.GNU_FORMAT)
    assert len(scanned(tmp_path / "a.tar", data)[0]) == 1
    monkeypatch.setattr(tar_headers, "_MAX_EXTENDED_BYTES", 2_000)
    found, rejects = scanned(tmp_path / "a.tar", data)
    assert (found, [reject.reason for reject in rejects]) == ([], ["unreadable"])


LINES = [b'{"text":"x = %d"}\n' % (number * number * 7919) for number in range(3_000)]


def zstd_by_line() -> bytes:
    """A block for every hundred lines."""
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    pieces = [stream.compress(b"".join(LINES[at : at + 100])) + stream.flush(flush) for at in range(0, 3_000, 100)]
    return b"".join(pieces) + stream.flush()


def whole_lines_of_gzip(data: bytes) -> int:
    inflater = zlib.decompressobj(31)
    return inflater.decompress(data).count(b"\n")


def whole_lines_of_zstd(data: bytes) -> int:
    frame = zstandard.ZstdDecompressor().decompressobj()
    return frame.decompress(data).count(b"\n")


STREAMS = {
    "a.jsonl.gz": (gzip.compress(b"".join(LINES)), whole_lines_of_gzip),
    "a.jsonl.zst": (zstd_by_line(), whole_lines_of_zstd),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_stream_gives_every_record_before_the_cut(name: str, tmp_path: Path) -> None:
    whole, whole_lines = STREAMS[name]
    counts = set()
    for end in [0, 1, 5, *range(30, len(whole), len(whole) // 23), *(len(whole) - left for left in (9, 5, 4, 1))]:
        found, rejects = scanned(tmp_path / name, whole[:end])
        assert len(found) == whole_lines(whole[:end]), end
        assert [reject.reason for reject in rejects] == ["unreadable"], end
        assert rejects[0].position == len(found) + 1
        counts.add(len(found))
    assert len(counts) > 10
    assert max(counts) == len(LINES)


@pytest.mark.parametrize("name", STREAMS)
def test_a_damaged_stream_gives_every_record_before_the_damage(name: str, tmp_path: Path) -> None:
    whole, whole_lines = STREAMS[name]
    wanted = [len(found) for found in scanned(tmp_path / name, whole)[:1]]
    assert wanted == [len(LINES)]
    for place in range(40, len(whole), len(whole) // 19):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        found, rejects = scanned(tmp_path / name, bytes(damaged))
        assert len(found) >= whole_lines(whole[:place]), place
        assert rejects, place


def test_the_trailer_is_checked_and_costs_no_record(tmp_path: Path) -> None:
    for name, (whole, _) in STREAMS.items():
        damaged = whole[:-8] + bytes(byte ^ 1 for byte in whole[-8:])
        found, rejects = scanned(tmp_path / name, damaged)
        assert len(found) >= len(LINES) - 100, name
        assert "damaged" in rejects[0].detail, name


def test_zeros_after_gzip_are_padding_and_anything_else_is_said(tmp_path: Path) -> None:
    member = gzip.compress(b"".join(LINES))
    for data, count in ((member + bytes(512), 1), (member + bytes(70_000) + member + bytes(3), 2), (member * 3, 3)):
        found, rejects = scanned(tmp_path / "a.jsonl.gz", data)
        assert (len(found), rejects) == (count * len(LINES), [])
    for data, size in ((member + b"garbage", 7), (member + b"\x1f", 1), (member + bytes(9) + b"x" * 200_000, 200_000)):
        found, rejects = scanned(tmp_path / "a.jsonl.gz", data)
        assert len(found) == len(LINES)
        assert f"the {size:,} bytes after it are no gzip" in rejects[0].detail
    found, rejects = scanned(tmp_path / "a.jsonl.zst", zstd_by_line() + b"garbage")
    assert len(found) == len(LINES)
    assert "no zstd frame" in rejects[0].detail


@pytest.mark.parametrize("log", [27, 28])
def test_a_long_window_is_read_or_the_way_round_it_is_said(log: int, tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    found, rejects = scanned(tmp_path / "a.jsonl.zst", stream.compress(b"".join(LINES)) + stream.flush())
    if 1 << log <= streams.MAX_WINDOW_BYTES:
        assert (len(found), rejects) == (len(LINES), [])
    else:
        assert found == []
        assert "256 MiB, of which 128 are read; compress it again without --long" in rejects[0].detail


def test_pieces_are_as_small_as_they_like(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever is read and given at a time, down to a byte."""
    for size in (1, 7, 300):
        monkeypatch.setattr(streams, "_INPUT_BYTES", size)
        monkeypatch.setattr(streams, "BUFFER_BYTES", size + 1)
        for name, (whole, _) in STREAMS.items():
            path = tmp_path / name
            path.write_bytes(whole * 2)
            with path.open("rb", buffering=0) as file:
                assert (
                    streams.decompressed(file, "gzip" if name.endswith("gz") else "zstd").read() == b"".join(LINES) * 2
                )
