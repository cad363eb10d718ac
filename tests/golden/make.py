"""Wrote ``tests/golden/v1``; run again only while format version 1 is not released:

python -m tests.golden.make
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pcdata.building.build import build
from pcdata.building.progress import Reporter
from tests.building.corpora import HOSTILE_CONTENTS, options

FOLDER = Path(__file__).parent / "v1"
VIEWS = (
    "zstd:dictionary=1024",
    "zstd:unit=block,dictionary=0,name=blocks,ids=raw",
    "gzip:size=64",
    "bpe:vocab_size=300",
    "gzip:backend=zlib-ng,size=64,name=ng",
    "token-bytes:vocab_size=280,code=gray",
    "doublebyte",
    "halfbyte",
    "doublebit",
    "bit",
    "ngram:contexts=100,segment=4",
    "ngram:contexts=100,window_bits=24,reset=window,name=ngram24",
)

SMALL = {name: raw for name, raw in HOSTILE_CONTENTS.items() if len(raw) < 5_000}


def contents() -> dict[bytes, bytes]:
    """Path → bytes of every document."""
    documents = {
        f"code{number}.py".encode(): b"".join(b"def f%d(x):\n    return x + %d\n\n" % (n, n) for n in range(number, 40))
        for number in range(12)
    }
    return documents | {name.encode() + b".txt": raw for name, raw in SMALL.items()}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "golden"
        source.mkdir()
        for name, raw in contents().items():
            (source / name.decode()).write_bytes(raw)
        build(options(source, FOLDER, *VIEWS, shard_bytes=6_000, max_document_bytes=700), Reporter())


if __name__ == "__main__":
    main()
