"""What a stranger may change in a dataset, as hypothesis strategies: values of JSON, bytes, columns of Arrow files."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from pcdata.dataset.ipc_footer import IpcFooter
from pcdata.dataset.manifest import MANIFEST, REJECTS, fingerprint
from tests.dataset.written import save_as_json

ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 255, 256, 65_536, 2**31, 2**32, 2**63, 10**30, 0.5, float("nan"), float("inf")),
    *(
        "",
        "x",
        "raw",
        "own",
        "../../outside",
        "/etc/passwd",
        "a/../b",
        "\ud800",
        "\x1b[2J\n",
        "e\u0301 \u202e",
        "x" * 9_000,
    ),
    *("manifest.json", "base/train-00000.arrow", "(other)", "a:int64", "zstd", "bpe", "gzip", "ngram", "neural", "bit"),
    *([], {}, [[]], [0] * 1_000, [-1], [10**30], {"a": 1}, {"name": "x"}, [None], ["x"], [{"name": "x"}]),
)


class Files(dict[str, bytes]):
    """The bytes of each file, by its path; not to be printed, which hypothesis does with what it found."""

    def __repr__(self) -> str:
        return f"<{len(self)} files>"


_WORDS = (0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)


@st.composite
def json_changes(draw: st.DrawFn, value: Any) -> Any:
    """A copy of parsed JSON in which one place is other than it was."""
    changed = copy.deepcopy(value)
    places = [*_places(changed)]
    container, key = draw(st.sampled_from(places))
    there = container[key]
    change = draw(st.sampled_from(("odd", "number", "swap", "remove", "twice", "new")))
    if change == "number" and isinstance(there, int):
        container[key] = there + draw(st.sampled_from((-1, 1, 100, -(2**31), 2**33)))
    elif change == "swap":
        other, at = draw(st.sampled_from(places))
        container[key] = copy.deepcopy(other[at])
    elif change == "remove":
        del container[key]
    elif change == "twice" and isinstance(container, list):
        container.append(copy.deepcopy(there))
    elif change == "new" and isinstance(container, dict):
        container[draw(st.sampled_from(("x", "name", "\ud800", "\x1b[2J")))] = draw(st.sampled_from(ODD))
    else:
        container[key] = draw(st.sampled_from(ODD))
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@st.composite
def byte_changes(draw: st.DrawFn, data: bytes, near: tuple[int, ...] = ()) -> bytes:
    """Some other bytes, most often close to the places ``near`` and to the end."""
    changed = bytearray(data)
    if not changed:
        return b"x"
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.sampled_from([0, max(0, len(data) - 1_500), *near])) + draw(st.integers(0, 400))
        place = min(draw(st.sampled_from([begin, begin & ~7, draw(st.integers(0, len(data)))])), len(changed) - 1)
        match draw(st.sampled_from(("flip", "word", "double word", "zeros"))):
            case "flip":
                changed[place] ^= 1 << draw(st.integers(0, 7))
            case "word":
                _put(changed, place, struct.pack("<I", draw(st.sampled_from(_WORDS)) & 0xFFFFFFFF))
            case "double word":
                _put(changed, place, struct.pack("<Q", draw(st.sampled_from(_WORDS))))
            case "zeros":
                _put(changed, place, bytes(draw(st.integers(1, 64))))
    match draw(st.sampled_from(("", "", "", "cut", "longer"))):
        case "cut":
            del changed[draw(st.integers(0, len(changed))) :]
        case "longer":
            changed += b"\0" * 8
    return bytes(changed)


def _put(data: bytearray, place: int, what: bytes) -> None:
    data[place : place + len(what)] = what[: len(data) - place]


@st.composite
def arrow_changes(draw: st.DrawFn, data: bytes) -> bytes:
    """An Arrow file with other bytes, or written again with other rows, columns or types, or compressed."""
    batches = pa.ipc.open_file(data).read_all().to_batches()
    match draw(st.sampled_from(("bytes", "bytes", "value", "value", "columns", "batches", "compressed"))):
        case "value":
            number = draw(st.integers(0, len(batches) - 1))
            batches[number] = draw(_value_changes(batches[number]))
            return _written(batches)
        case "columns":
            change = draw(_column_changes(batches[0].schema))
            return _written([change(batch) for batch in batches])
        case "batches":
            picked = draw(st.lists(st.sampled_from(range(len(batches))), max_size=4))
            return _written([batches[number] for number in picked], batches[0].schema)
        case "compressed":
            return _written(batches, compression=draw(st.sampled_from(("zstd", "lz4"))))
    near = tuple(place for batch in IpcFooter(pa.py_buffer(data)) for place in (max(0, batch.begin - 400), batch.begin))
    return draw(byte_changes(data, near))


def _written(batches: list[pa.RecordBatch], shape: pa.Schema | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, shape or batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


@st.composite
def _value_changes(draw: st.DrawFn, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Another value in one row, of the type that its column has."""
    field = draw(st.sampled_from([*batch.schema]))
    values = batch.column(field.name).to_pylist()
    row = draw(st.integers(0, len(values) - 1))
    values[row] = draw(_values(field.type, values[row]))
    place = batch.schema.get_field_index(field.name)
    return batch.set_column(place, field, pa.array(values, field.type))


def _values(kind: pa.DataType, there: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_large_list(kind):
        largest = 2**kind.value_type.bit_width - 1
        lists = st.just([]) | st.just([largest]) | st.just([0]) | st.just([1] * 700) | st.just([None])
        if there:
            other = st.tuples(st.integers(0, len(there) - 1), st.sampled_from((0, 1, largest)))
            lists |= other.map(lambda at: [*there[: at[0]], at[1], *there[at[0] + 1 :]])
        return lists
    if pa.types.is_fixed_size_binary(kind):
        return st.binary(min_size=kind.byte_width, max_size=kind.byte_width)
    if pa.types.is_unsigned_integer(kind):
        return st.sampled_from((0, 1, 2**31, 2**63, 2**64 - 1))
    if pa.types.is_integer(kind):
        return st.sampled_from((None, 0, -(2**63), 2**63 - 1))
    if pa.types.is_string(kind):
        return st.sampled_from((None, "", "../../x", "\x1b[2J\n", "python", "x" * 5_000))
    return st.sampled_from((None, b"", b"../../x", b"/x", b"a\0b", b"\xff\x1b[2J", b"x" * 5_000, b"x/" * 600))


@st.composite
def _column_changes(draw: st.DrawFn, shape: pa.Schema) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Columns left out, renamed, in another order, of another type, or more of them."""
    place = draw(st.integers(0, len(shape) - 1))
    match draw(st.sampled_from(("remove", "rename", "order", "dictionary", "nulls", "twice", "narrow"))):
        case "remove":
            return lambda batch: batch.select([name for name in batch.schema.names if name != shape.names[place]])
        case "rename":
            name = draw(st.sampled_from(("x", "", "path", "raw", "\x1b[2J", "x" * 2_000)))
            return lambda batch: batch.rename_columns([*shape.names[:place], name, *shape.names[place + 1 :]])
        case "order":
            return lambda batch: batch.select([*reversed(shape.names)])
        case "dictionary":
            column = shape.names[place]
            return lambda batch: pa.record_batch(
                [pa.DictionaryArray.from_arrays([0] * len(batch), ["x"])], names=[column]
            )
        case "nulls":
            return lambda batch: batch.set_column(place, shape[place], pa.nulls(len(batch), shape[place].type))
        case "twice":
            return lambda batch: batch.append_column(shape[place], batch.column(place))
    return lambda batch: pa.record_batch([pa.nulls(len(batch), pa.int8())] * len(shape), names=shape.names)


@st.composite
def dataset_changes(draw: st.DrawFn, sound: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a dataset with one to three changes; most often resealed, as a stranger would."""
    files = Files(sound)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        name = draw(st.sampled_from([*files, *[MANIFEST] * len(files)]))
        if name == MANIFEST:
            body = draw(json_changes(json.loads(files[name])))
            files[name] = json.dumps(body, indent=1).encode()
        elif draw(st.integers(0, 19)) == 0:
            files[name] = sound[draw(st.sampled_from([*sound]))]
        elif name.endswith(".arrow") and files[name] == sound[name]:
            files[name] = draw(arrow_changes(files[name]))
        elif name.endswith(".json") and files[name] == sound[name]:
            files[name] = json.dumps(draw(json_changes(json.loads(files[name])))).encode()
        else:
            files[name] = draw(byte_changes(files[name]))
    files["resealed"] = b"yes" if draw(st.integers(0, 9)) else b""
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Lay down what ``dataset_changes`` or ``run_changes`` made."""
    for name, data in files.items():
        if name != "resealed":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    if MANIFEST in files:
        body = json.loads(files[MANIFEST])
        save_as_json(folder, _resealed(body, files) if files["resealed"] else body)


def _resealed(body: Any, files: dict[str, bytes]) -> Any:
    """Sizes, hashes and fingerprints as the files have them, as far as the manifest has such things."""
    for container, key in [*_places(body)]:
        entry = container[key]
        if isinstance(entry, dict) and entry.keys() == {"path", "bytes", "sha256"} and entry["path"] in [*files]:
            data = files[entry["path"]]
            if entry["path"] != REJECTS or data:
                entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    with suppress(AttributeError, KeyError, TypeError, ValueError):  # it may have no such part any more
        _reprint(body)
    return body


def _reprint(body: Any) -> None:
    class Entry:
        def __init__(self, entry: Any) -> None:
            self.sha256 = entry["sha256"]

    def files(splits: Any) -> list[Any]:
        return [Entry(shard["file"]) for name in ("train", "val") for shard in splits.get(name, ())]

    body["base"]["fingerprint"] = fingerprint(files(body["base"]["splits"]))
    for view in body["views"]:
        view["fingerprint"] = fingerprint(
            files(view["splits"]),
            codec=view["codec"],
            parameters=view["parameters"],
            backends=view["backends"],
            artifact=[entry["sha256"] for entry in view["artifact"]],
        )


@st.composite
def run_changes(draw: st.DrawFn, sound: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a run folder, one of which is changed; its sums may be right again, as a stranger makes them."""
    changed = Files(sound)
    name = draw(st.sampled_from(sorted(sound)))
    data = sound[name]
    if name.endswith(".json") and draw(st.booleans()):
        changed[name] = _json(draw(json_changes(json.loads(data))))
    elif name.endswith(".jsonl") and draw(st.booleans()):
        lines = data.splitlines()
        number = draw(st.integers(0, len(lines) - 1))
        lines[number] = _json(draw(json_changes(json.loads(lines[number]))))
        changed[name] = b"\n".join(lines) + b"\n"
    elif name.endswith(".safetensors") and draw(st.booleans()):
        end = 8 + int.from_bytes(data[:8], "little")
        header = _json(draw(json_changes(json.loads(data[8:end]))))
        changed[name] = len(header).to_bytes(8, "little") + header + data[end:]
    else:
        changed[name] = draw(byte_changes(data))
    if draw(st.booleans()):
        _seal(changed)
    return changed


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _seal(files: dict[str, bytes]) -> None:
    """Make the sums of each checkpoint those of its files."""
    for sums in [name for name in files if name.endswith("/SHA256SUMS")]:
        folder = sums.removesuffix("SHA256SUMS")
        listed = [name for name in files if name.startswith(folder) and name != sums]
        lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name.removeprefix(folder)}\n" for name in listed]
        files[sums] = "".join(lines).encode()
