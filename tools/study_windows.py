"""What equal-information windows reach: the measurement behind the docstrings of the codecs ``ngram`` and ``neural``.

The ``.py`` files of a folder (this Python's standard library unless another is given); one in thirty, by hash, is held
out, the model is fitted on 16 MB of the others. With ``--shards``, the documents of a dataset: fitted on its train
split, measured on its val split. ``--compressor`` names what to measure (such as
``neural:artifact=coder/,segment=16``) instead of some choices of ``ngram``; ``--most-bytes`` measures on no more.
For each, on the files held out:

* bytes per symbol, and per segment;
* bits per byte: of the model with the document as context, with the segment, and of the windows;
* windows that begin a segment (their meaning depends on nothing before), different symbols, and units that collide
  (the same symbols for other bytes elsewhere);
* MB/s of raw bytes on one core (best of three, or one if that takes long): encode, its coder alone, and ``faults``,
  which checks known documents.

Then documents are decoded one byte after another, as a reader without the raw bytes must, and compared.
Prints a table, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from pcdata.codecs import windows
from pcdata.codecs.base import codec_class
from pcdata.codecs.requests import parse_request
from pcdata.codecs.window_codec import WindowCodec
from pcdata.dataset import Dataset
from pcdata.dataset.columns import ViewColumns

CHOICES = (
    "ngram:order=3",
    "ngram",
    "ngram:contexts=65536",
    "ngram:reset=window",
    "ngram:segment=16",
    "ngram:segment=16,window_bits=24",
    "ngram:segment=32,window_bits=32",
)
FIT_BYTES = 16_000_000
DECODED_DOCUMENTS = 200
LONG_SECONDS = 5


@dataclass(frozen=True)
class Result:
    request: str
    bytes_per_symbol: float
    figures: dict[str, float]
    different_symbols: int
    colliding: float
    mb_per_s: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--shards", type=Path, help="a dataset, instead of the folder")
    parser.add_argument("--compressor", action="append", dest="requests", help="what to measure; may be repeated")
    parser.add_argument("--most-bytes", type=int, default=10**9, help="of what is held out")
    parser.add_argument("--decode", type=int, default=DECODED_DOCUMENTS, help="documents to decode byte by byte")
    given = parser.parse_args()
    sample, held_out = read_shards(given.shards) if given.shards else read(given.folder)
    held_out = held_out[: int(np.searchsorted(np.cumsum([len(one) for one in held_out]), given.most_bytes)) + 1]
    print(f"fitted on {sum(map(len, sample)):,} bytes (or beforehand), measured on {sum(map(len, held_out)):,}")
    print(
        f"{'':40} | {'B/symbol':>8} {'B/segment':>9} | {'document':>8} {'segment':>7} {'windows':>7} | "
        f"{'first':>5} {'symbols':>7} {'collide':>7} | {'encode':>6} {'coder':>5} {'check':>5}"
    )
    results = []
    for request in given.requests or CHOICES:
        codec = opened(request, sample)
        results.append(measure(request, codec, held_out))
        print_row(results[-1])
    decoded = decode_one_by_one(opened((given.requests or ["ngram"])[0], sample), held_out + sample, given.decode)
    made_with = {"machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__}
    print(json.dumps({**made_with, "decoded": decoded, "results": [asdict(one) for one in results]}))


def opened(request: str, sample: list[bytes]) -> WindowCodec:
    """With the artifact that the request names, or fitted on the sample."""
    parsed = parse_request(request)
    cls = codec_class(parsed.codec)
    artifact = cls.read_artifact(parsed.artifact) if parsed.artifact else cls.fit(parsed.parameters, sample)
    codec = cls(parsed.parameters, artifact, {})
    assert isinstance(codec, WindowCodec), f"{request} has no windows"
    return codec


def read_shards(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """The sample, and what is held out: documents of the splits train and val by their hashes."""
    dataset = Dataset(folder)
    splits = [dataset.split(name) for name in ("train", "val")]
    sample, held_out = (
        sorted({split.document(index).raw.tobytes() for index in range(split.n_documents)} - {b""}, key=crc32)
        for split in splits
    )
    ends = np.cumsum([len(document) for document in sample])
    return sample[: int(np.searchsorted(ends, FIT_BYTES)) + 1], held_out


def read(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """The sample, and what is held out."""
    files = [path for path in sorted(folder.rglob("*.py")) if "site-packages" not in path.parts]
    documents = sorted({data for data in (path.read_bytes() for path in files) if data}, key=crc32)
    held_out = [document for document in documents if crc32(document) % 30 == 0]
    sample = [document for document in documents if crc32(document) % 30]
    ends = np.cumsum([len(document) for document in sample])
    return sample[: int(np.searchsorted(ends, FIT_BYTES)) + 1], held_out


def measure(request: str, codec: WindowCodec, documents: list[bytes]) -> Result:
    columns = codec.encode(documents)
    n_bytes = sum(map(len, documents))
    figures = {name: ratio.over / ratio.under for name, ratio in codec.figures(documents).items()}
    speed = {
        "encode": rate(n_bytes, lambda: codec.encode(documents)),
        "coder": rate(n_bytes, coder_alone(codec, documents)),
        "check": rate(n_bytes, lambda: list(codec.faults(documents, columns, range(len(documents))))),
    }
    return Result(
        request,
        n_bytes / len(columns.symbols),
        figures,
        len(np.unique(columns.symbols)),
        colliding(documents, columns),
        speed,
    )


def coder_alone(codec: WindowCodec, documents: list[bytes]) -> Callable[[], object]:
    """The arithmetic coder on intervals that are there already."""
    text, _, starts = codec._segments(documents)
    lows, highs = codec.model.predict(text, starts).intervals(text)
    lengths = np.diff(starts, append=len(text))
    return lambda: windows.encode(lows, highs, lengths, codec.options.window_bits)


def rate(n_bytes: int, work: Callable[[], object]) -> float:
    """MB/s, the best of three; of one, if it takes long."""
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
        if best > LONG_SECONDS:
            break
    return n_bytes / 1e6 / best


def colliding(documents: list[bytes], columns: ViewColumns) -> float:
    """The share of units whose symbols stand for other bytes in another unit."""
    raw, symbols = b"".join(documents), columns.symbols
    per_unit = len(symbols) // len(columns.unit_bytes)
    ends = np.cumsum(columns.unit_bytes, dtype=np.int64).tolist()
    runs = [raw[end - size : end] for end, size in zip(ends, columns.unit_bytes.tolist(), strict=True)]
    units = Counter(zip(map(tuple, symbols.reshape(-1, per_unit).tolist()), runs, strict=True))
    meanings = Counter(unit for unit, _ in units)
    return sum(n for (unit, _), n in units.items() if meanings[unit] > 1) / len(runs)


def decode_one_by_one(codec: WindowCodec, documents: list[bytes], most: int) -> dict[str, float]:
    """Raises ``AssertionError`` where a document is not what comes back."""
    documents = documents[:most]
    columns = codec.encode(documents)
    begun = time.perf_counter()
    for row, document in enumerate(documents):
        assert (
            codec.decode(columns.symbols_of(row), columns.unit_bytes_of(row), columns.unit_symbols_of(row)) == document
        ), row
    n_bytes = sum(map(len, documents))
    speed = n_bytes / 1e6 / (time.perf_counter() - begun)
    print(f"{len(documents)} documents ({n_bytes:,} bytes) decoded byte by byte, all the same: {speed:.2f} MB/s")
    return {"documents": len(documents), "bytes": n_bytes, "mb_per_s": speed}


def print_row(result: Result) -> None:
    speed = result.mb_per_s
    document, segment, window, per_segment, first = result.figures.values()
    print(
        f"{result.request[-40:]:40} | "
        f"{result.bytes_per_symbol:8.2f} {per_segment:9.2f} | {document:8.2f} {segment:7.2f} {window:7.2f} | "
        f"{first:5.0%} {result.different_symbols:7,} {result.colliding:7.0%} | "
        f"{speed['encode']:6.3g} {speed['coder']:5.3g} {speed['check']:5.3g}",
        flush=True,
    )


if __name__ == "__main__":
    main()
