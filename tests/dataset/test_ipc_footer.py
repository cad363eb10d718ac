"""The frame of an Arrow file, against what pyarrow says of the same file; damaged, it is refused and nothing else."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdata.dataset.ipc_footer import IpcBatch, IpcFooter

_SCHEMA = pa.schema([("text", pa.string()), ("n", pa.int64())])
_VERSIONS = (pa.ipc.MetadataVersion.V4, pa.ipc.MetadataVersion.V5)


def _file(counts: list[int], **options: object) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, _SCHEMA, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for count in counts:
            writer.write_batch(pa.record_batch([["x = 1\n" * 50] * count, [*range(count)]], schema=_SCHEMA))
    return sink.getvalue()


@given(
    st.lists(st.integers(0, 40), max_size=6),
    st.sampled_from([None, "zstd", "lz4"]),
    st.sampled_from(_VERSIONS),
    st.booleans(),
)
def test_it_says_what_pyarrow_says(counts: list[int], compression: str | None, version: object, legacy: bool) -> None:
    options = {"compression": compression, "metadata_version": version, "use_legacy_format": legacy}
    if compression and version == pa.ipc.MetadataVersion.V4:
        options["metadata_version"] = pa.ipc.MetadataVersion.V5  # pyarrow writes no other compressed
    data = _file(counts, **options)
    footer = IpcFooter(pa.py_buffer(data))
    assert footer.n_dictionaries == 0
    assert [batch.rows for batch in footer] == counts
    assert all(batch.is_compressed == bool(compression) for batch in footer)
    extents = [place for batch in footer for place in (batch.begin, batch.end)]
    assert extents == sorted(extents)
    reader = pa.ipc.open_file(pa.py_buffer(data))
    if not compression:  # then the text is there to be found
        assert all(data.count(b"x = 1", b.begin, b.end) == 50 * b.rows for b in footer)
    assert reader.num_record_batches == len(footer)


def test_rows_are_counted_and_nothing_is_decompressed() -> None:
    data = _file([100_000], compression="zstd")
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    (batch,) = IpcFooter(pa.py_buffer(data))
    assert batch.rows == 100_000
    assert batch.end - batch.begin < 2_000_000
    assert pool.bytes_allocated() == before


def test_dictionaries_are_seen() -> None:
    batch = pa.record_batch([pa.array(["a", "b", "a"]).dictionary_encode()], names=["text"])
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    footer = IpcFooter(pa.py_buffer(sink.getvalue()))
    assert (footer.n_dictionaries, len(footer)) == (1, 1)


@given(st.data())
def test_whatever_is_changed_ends_in_an_answer_or_a_refusal(data: st.DataObject) -> None:
    file = bytearray(_file([3, 4], compression="zstd"))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(file) - 1))
        file[place : place + 4] = data.draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\x80"]))
    end = data.draw(st.sampled_from([len(file), len(file) - 1, len(file) // 2, 0]))
    try:
        batches = [*IpcFooter(pa.py_buffer(bytes(file[:end])))]
    except pa.ArrowInvalid:
        return
    assert all(isinstance(batch, IpcBatch) and 0 <= batch.begin <= batch.end <= len(file) for batch in batches)


@pytest.mark.parametrize("data", [b"", b"ARROW1", b"ARROW1\0\0" + b"\0" * 4 + b"ARROW1", b"x" * 100])
def test_what_is_no_file_is_refused(data: bytes) -> None:
    with pytest.raises(pa.ArrowInvalid):
        IpcFooter(pa.py_buffer(data))
