"""Documents that break things, drawn. Shared by all tests that encode or build."""

from __future__ import annotations

import random
import sysconfig
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pcdata.codecs.laws import HOSTILE


@cache
def library_files(most_bytes: int = 400_000) -> tuple[bytes, ...]:
    """Some of this Python's own source files, in order of name: a real corpus that is on every machine."""
    chosen = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        data = path.read_bytes()
        if not data or len(data) > most_bytes // 4:
            continue
        most_bytes -= len(data)
        if most_bytes < 0:
            break
        chosen.append(data)
    return tuple(chosen)


def documents() -> SearchStrategy[bytes]:
    """Any bytes, but mostly what source code and its accidents look like; up to a few kB."""
    text = st.text(max_size=200).map(str.encode)
    line_end = st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\r", b"\n    "])
    lines = st.lists(st.tuples(st.one_of(text, st.sampled_from(_LINES)), line_end), max_size=60).map(
        lambda pairs: b"".join(part for pair in pairs for part in pair)
    )
    repeated = st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=6), st.integers(1, 1500))
    noise = st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 999), st.integers(1, 3000))
    plain = st.one_of(lines, lines, text, st.binary(max_size=300), repeated, noise)
    spliced = st.lists(plain, min_size=2, max_size=4).map(b"".join)
    small = [document for document in HOSTILE.values() if len(document) <= 6000]
    return st.one_of(plain, spliced, st.sampled_from(small))


def batches() -> SearchStrategy[list[bytes]]:
    """What a codec is handed: several documents, some of them empty."""
    return st.lists(documents(), max_size=4)


_LINES = [
    b"def encode(self, documents: Sequence[bytes]) -> ViewColumns:",
    b"        return [x for x in values if x is not None]",
    b"    # TODO: remove once the other side sends lengths",
    b"import os, sys",
    b"}",
    b"",
    b"\t\tif (a < b && c) { return -1; }",
    "    name = 'Grüße, 世界'".encode(),
    b'    "key": "' + b"A" * 300 + b'",',
]
