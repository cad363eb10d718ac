"""Which zstd units make good views: the measurement behind the defaults of ``pcdata.codecs.zstd``.

For each choice of unit, size, level and dictionary, on the ``.py`` files of a folder (by default this Python's standard
library):

* ratio: raw bytes per symbol;
* MB/s: raw bytes encoded per second on one core;
* edits: how much a small edit changes the symbols, as the Levenshtein distance over the longer length: the mean over
  those files of 2 to 12 kB, at most 40, that each edit of ``pcdata probe`` changes;
* padding and not paired: when rows of 4,096 and of 512 are filled with pairs of raw and compressed units, the share of
  positions that is padding, and the share of raw bytes in units that fit no row beside their symbols.

    python -m tools.study_zstd_units [FOLDER] [--rounds 3] [--choice unit=chunk,size=192 …]

The dictionary is fitted on every third file; ratio and speed are measured on other files. Prints a table and a JSON
line.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pcdata.codecs.requests import parse_request
from pcdata.codecs.zstd import ZstdCodec
from pcdata.dataset.columns import ViewColumns
from pcdata.probing.edits import EDITS, edited
from pcdata.probing.stability import distance
from tools.benching import in_turn, print_json, print_table, rate
from tools.corpora import corpus_parser, find_paths

CHOICES = (
    *(f"unit=chunk,size={size}" for size in (128, 192, 256, 512, 1024)),
    *(f"unit=block,size={size}" for size in (256, 512, 1024)),
    *(f"level={level}" for level in (1, 6, 9, 19)),
    *(f"dictionary={size}" for size in (0, 16_384, 524_288)),
)
MARKS = 5
"""bos, and an open and a close mark for each half of a pair."""
ROWS = (4096, 512)
COLUMNS = {
    "zstd": "{choice}",
    "ratio": "{ratio:.2f}",
    "MB/s": "{mb_per_s.median:.0f}",
    "mean unit, B": "{mean_unit_bytes:.0f}",
    **{name: f"{{edits[{name}]:.3f}}" for name in EDITS},
    **{f"padding, {row}": f"{{padding[{row}]:.1%}}" for row in ROWS},
    **{f"not paired, {row}": f"{{not_paired[{row}]:.1%}}" for row in ROWS},
}


def measure(choice: str, documents: Sequence[bytes], rounds: int) -> dict[str, Any]:
    parameters = parse_request(f"zstd:{choice}").parameters
    codec = ZstdCodec(parameters, ZstdCodec.fit(parameters, documents[1::3]) if parameters.dictionary else {}, {})
    sample = documents[::3]
    raw_bytes, columns = sum(map(len, sample)), codec.encode(sample)
    seconds = in_turn({"encode": partial(codec.encode, sample)}, rounds)["encode"]
    texts = [document for document in sample if 2_000 <= len(document) <= 12_000][:40]
    pairs = {row: pair_up(columns, row) for row in ROWS}
    return {
        "choice": choice,
        "parameters": asdict(parameters),
        "ratio": raw_bytes / len(columns.symbols),
        "mb_per_s": rate(raw_bytes / 1e6, seconds),
        "mean_unit_bytes": raw_bytes / len(columns.unit_bytes),
        "edits": {name: mean_distance(codec, texts, name) for name in EDITS},
        "padding": {row: padding for row, (padding, _) in pairs.items()},
        "not_paired": {row: share for row, (_, share) in pairs.items()},
    }


def mean_distance(codec: ZstdCodec, texts: Sequence[bytes], edit: str) -> float:
    pairs = [(before, after) for before in texts if (after := edited(before, edit, seed=0)) != before]
    both = [codec.encode(pair) for pair in pairs]
    return statistics.fmean(distance(columns.symbols_of(0), columns.symbols_of(1)) for columns in both)


def pair_up(columns: ViewColumns, row: int) -> tuple[float, float]:
    """Fill rows with whole units, raw and compressed; returns the shares of padding and of raw bytes without a row."""
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


def main() -> None:
    parser = corpus_parser(__doc__, rounds=3)
    parser.add_argument("--choice", action="append", help="options of zstd; may be repeated; default: fifteen choices")
    given = parser.parse_args()
    documents = [data for data in (Path(path).read_bytes() for path in find_paths(given.corpus)) if data]
    results = [measure(choice, documents, given.rounds) for choice in given.choice or CHOICES]
    print_table(COLUMNS, results)
    print_json("zstd units", {"documents": len(documents), "choices": results}, "zstandard")


if __name__ == "__main__":
    main()
