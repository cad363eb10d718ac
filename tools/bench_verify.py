"""Is a full ``pcdata verify`` as fast as building the same dataset?

It hashes every file, parses it, checks every row and decodes every view, which a build need not do. Build and verify
run in turn, with one worker each; *ratio* is the build's time over verify's, and should be 1 or more. Fitting is left
out. The corpus is varied copies of the standard library, so that the half second in which verify's child starts does
not matter; all four views together, which are slow to write and to verify, are built from one copy.

    python -m tools.bench_verify [FOLDER] [--copies 4] [--rounds 3] [--views zstd --views bpe:vocab_size=16384 …]
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from pcdata.verifying.verify import verify
from tools.benching import in_turn, print_json, print_table, rate, ratio
from tools.building import USUAL_VIEWS, clear, fitted, rebuild
from tools.corpora import corpus_parser, find_paths, raw_mb, write_copies

COLUMNS = {
    "views": "{views}",
    "raw MB": "{raw_mb:.1f}",
    "build, MB/s": "{build_mb_s:.1f}",
    "verify, MB/s": "{verify_mb_s:.1f}",
    "ratio": "{ratio:.2f}",
}


def measure(original: Path, copies: int, views: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        corpus, output = Path(scratch) / "corpus", Path(scratch) / "built"
        write_copies(original, corpus, 1 if "," in views else copies)
        size = raw_mb(find_paths(corpus))
        with fitted(corpus, views.split(",")) as codecs:
            both = {
                "build": partial(rebuild, corpus, output, codecs.requests),
                "verify": partial(must_be_sound, output),
            }
            seconds = in_turn(both, rounds, before=partial(clear, output))
    return {
        "views": views,
        "raw_mb": size,
        "build_mb_s": rate(size, seconds["build"]),
        "verify_mb_s": rate(size, seconds["verify"]),
        "ratio": ratio(seconds["build"], seconds["verify"]),
    }


def must_be_sound(folder: Path) -> None:
    report = verify(folder)
    if not report.ok:
        raise SystemExit(report.render())


def main() -> None:
    parser = corpus_parser(__doc__, rounds=3, copies=4)
    parser.add_argument("--views", action="append", help="compressors of one build, with commas; may be repeated")
    given = parser.parse_args()
    results = [measure(given.corpus, given.copies, views, given.rounds) for views in given.views or USUAL_VIEWS]
    print_table(COLUMNS, results)
    print_json("verify", results, "numpy", "pyarrow", "zstandard", "gigatoken", "zlib-ng")


if __name__ == "__main__":
    main()
