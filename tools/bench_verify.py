"""Is a full ``pcdata verify`` as fast as the build of what it looks at?

It hashes every file, parses it, checks every row and decodes every view, which a build need not. Build and verify run
in turn, one worker each; *ratio*, of the build's time to verify's, should be 1 or more. Fitting is left out. The corpus
is varied copies of the standard library, so that the half second in which verify's child starts does not decide; all
four views, which are slow both to write and to verify, are those of one copy.

    python tools/bench_verify.py [--copies 4] [--rounds 3] [--quick] [--views zstd --views bpe:vocab_size=16384 …]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benching import Figure, in_turn, print_json, print_table, ratio
from building import FOUR_VIEWS, STDLIB, Fitted, clear, find_paths, raw_mb, rebuild, write_copies

from pcdata.verifying.verify import verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--copies", type=int, default=4, help="of 31.5 MB each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, and not all four views")
    parser.add_argument("--views", action="append", help="compressors of one build, with commas; may be repeated")
    arguments = parser.parse_args()
    asked = arguments.views or ["zstd", "bpe:vocab_size=16384", *([] if arguments.quick else [",".join(FOUR_VIEWS)])]
    rows, results = [["views", "build, MB/s", "verify, MB/s", "ratio"]], []
    for views in asked:
        with tempfile.TemporaryDirectory() as scratch:
            copies = 1 if "," in views else arguments.copies
            row = measure(copies, views.split(","), 1 if arguments.quick else arguments.rounds, Path(scratch))
        results.append(row)
        rows.append([views, f"{row['build_mb_s']:.1f}", f"{row['verify_mb_s']:.1f}", f"{row['ratio']:.2f}"])
    print_table(rows)
    print_json("verify", results, ("numpy", "pyarrow", "zstandard", "gigatoken", "zlib-ng"))


def measure(copies: int, views: list[str], rounds: int, scratch: Path) -> dict[str, Any]:
    corpus = scratch / "corpus"
    write_copies(STDLIB, corpus, copies)
    fitted = Fitted.on(corpus, views, scratch)
    size = raw_mb(find_paths(corpus))
    output = scratch / "built"
    seconds = in_turn(
        {
            "clear": lambda: clear(output),
            "build": lambda: rebuild(corpus, output, fitted.requests),
            "verify": lambda: must_be_sound(output),
        },
        rounds,
    )
    return {
        "views": views,
        "raw_mb": size,
        "build_mb_s": size / Figure.of(seconds["build"]).median,
        "verify_mb_s": size / Figure.of(seconds["verify"]).median,
        "ratio": ratio(seconds["build"], seconds["verify"]),
    }


def must_be_sound(folder: Path) -> None:
    report = verify(folder)
    if not report.ok:
        raise SystemExit(report.render())


if __name__ == "__main__":
    main()
