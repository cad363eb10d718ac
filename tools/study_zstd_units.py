"""Which zstd units make good views: the measurement behind the defaults of ``pcdata.codecs.zstd``.

For each choice of unit, size, level and dictionary, on the ``.py`` files of a folder (this Python's standard library
unless another is given):

* ratio: raw bytes per symbol;
* MB/s: raw bytes encoded per second on one core (median of three, after one to warm up);
* edits: how far one small edit moves the symbols, as the Levenshtein distance over the longer length, mean over 40
  files of 2 to 12 kB, each edited four ways: 10 % or 1 % of the lines deleted, a line inserted, ``self`` renamed;
* pairs: rows of 4,096 and of 512 filled with pairs of raw and compressed units: the share of positions that is
  padding, and the share of raw bytes in units that fit no row beside their symbols.

The dictionary is fitted on every third file, ratio and speed are of every third other.
Prints a table, then one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import zstandard

from pcdata.codecs.zstd import ZstdCodec, ZstdParameters
from pcdata.dataset.columns import ViewColumns

MARKS = 5
"""bos, and an open and a close mark for each half of a pair."""


@dataclass(frozen=True)
class Result:
    parameters: ZstdParameters
    ratio: float
    mb_per_s: float
    mean_unit_bytes: float
    edits: dict[str, float]
    padding_unpaired: dict[int, tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("stdlib")))
    folder = parser.parse_args().folder
    files = [path for path in sorted(folder.rglob("*.py")) if "site-packages" not in path.parts]
    documents = [data for data in (path.read_bytes() for path in files) if data]
    results = []
    print(f"{'unit':>5} {'size':>5} {'level':>5} {'dict':>6} | {'ratio':>5} {'MB/s':>5} {'mean':>5} | "
          "del10  del1 insert rename | pad4096 unpaired | pad512 unpaired")  # fmt: skip
    for parameters in choices():
        result = measure(parameters, documents)
        results.append(asdict(result))
        print(row(result), flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    made_with = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "zstd": zstandard.ZSTD_VERSION,
        "commit": commit or None,
    }
    print(json.dumps({**made_with, "documents": len(documents), "results": results}))


def choices() -> Iterator[ZstdParameters]:
    for size in (128, 192, 256, 512, 1024):
        yield ZstdParameters(unit="chunk", size=size)
    for size in (256, 512, 1024):
        yield ZstdParameters(unit="block", size=size)
    for level in (1, 6, 9, 19):
        yield ZstdParameters(level=level)
    for dictionary in (0, 16_384, 524_288):
        yield ZstdParameters(dictionary=dictionary)


def row(result: Result) -> str:
    p, edits, pairs = result.parameters, result.edits, result.padding_unpaired
    return (
        f"{p.unit:>5} {p.size:5} {p.level:5} {p.dictionary:6} | {result.ratio:5.2f} {result.mb_per_s:5.0f} "
        f"{result.mean_unit_bytes:5.0f} | {edits['delete 10 %']:5.2f} {edits['delete 1 %']:5.2f} "
        f"{edits['insert a line']:6.3f} {edits['rename self']:6.2f} | "
        f"{pairs[4096][0]:7.1%} {pairs[4096][1]:8.1%} | {pairs[512][0]:6.1%} {pairs[512][1]:8.1%}"
    )


def measure(parameters: ZstdParameters, documents: Sequence[bytes]) -> Result:
    artifact = ZstdCodec.fit(parameters, documents[1::3]) if parameters.dictionary else {}
    codec = ZstdCodec(parameters, artifact, {})
    sample = documents[::3]
    columns, seconds = codec.encode(sample), []
    for _ in range(3):
        start = time.perf_counter()
        columns = codec.encode(sample)
        seconds.append(time.perf_counter() - start)
    raw_bytes = sum(map(len, sample))
    texts = [document for document in sample if 2_000 <= len(document) <= 12_000][:40]
    edits = {name: statistics.fmean(moved(codec, text, edit(text)) for text in texts) for name, edit in EDITS.items()}
    return Result(
        parameters,
        ratio=raw_bytes / len(columns.symbols),
        mb_per_s=raw_bytes / statistics.median(seconds) / 1e6,
        mean_unit_bytes=raw_bytes / len(columns.unit_bytes),
        edits=edits,
        padding_unpaired={row: pair_up(columns, row) for row in (4096, 512)},
    )


def moved(codec: ZstdCodec, before: bytes, after: bytes) -> float:
    columns = codec.encode([before, after])
    old, new = columns.symbols_of(0).tobytes(), columns.symbols_of(1).tobytes()
    return levenshtein(old, new) / max(len(old), len(new))


def levenshtein(left: bytes, right: bytes) -> int:
    """Myers 1999, "A fast bit-vector algorithm for approximate string matching", with one wide integer per column."""
    mask, top = (1 << len(left)) - 1, 1 << (len(left) - 1)
    matches = [0] * 256
    for index, byte in enumerate(left):
        matches[byte] |= 1 << index
    up, down, distance = mask, 0, len(left)
    for byte in right:
        match = matches[byte]
        vertical = match | down
        horizontal = (((match & up) + up) ^ up) | match
        rise = down | (~(horizontal | up) & mask)
        fall = up & horizontal
        distance += bool(rise & top) - bool(fall & top)
        rise = (rise << 1 | 1) & mask
        up = (fall << 1 & mask) | (~(vertical | rise) & mask)
        down = rise & vertical
    return distance


def delete_lines(percent: int) -> Callable[[bytes], bytes]:
    def edit(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        draws = [
            int.from_bytes(hashlib.blake2b(b"%d" % i + line, digest_size=4).digest()) for i, line in enumerate(lines)
        ]
        doomed = set(sorted(range(len(lines)), key=draws.__getitem__)[: max(1, len(lines) * percent // 100)])
        return b"".join(line for i, line in enumerate(lines) if i not in doomed)

    return edit


def insert_line(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    lines.insert(len(lines) // 3, b"        self.counter = other.counter + 1\n")
    return b"".join(lines)


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "delete 10 %": delete_lines(10),
    "delete 1 %": delete_lines(1),
    "insert a line": insert_line,
    "rename self": lambda text: re.sub(rb"\bself\b", b"this", text),
}


def pair_up(columns: ViewColumns, row: int) -> tuple[float, float]:
    """Fill rows with whole units of raw and compressed; the shares of padding and of raw bytes without a row."""
    assert columns.unit_symbols is not None
    starts = set(columns.unit_offsets.tolist())
    used = padding = rows = unpaired = 0
    costs = (columns.unit_bytes.astype(np.int64) + columns.unit_symbols).tolist()
    for unit, (raw, cost) in enumerate(zip(columns.unit_bytes.tolist(), costs, strict=True)):
        if cost + MARKS > row:
            unpaired += raw
            continue
        marks = MARKS if unit in starts or not used else 0
        if used + marks + cost > row:
            padding, rows, used, marks = padding + row - used, rows + 1, 0, MARKS
        used += marks + cost
    if not rows:
        sys.exit(f"the folder is too small to fill a row of {row}")
    return padding / (rows * row), unpaired / int(columns.unit_bytes.sum(dtype=np.int64))


if __name__ == "__main__":
    main()
