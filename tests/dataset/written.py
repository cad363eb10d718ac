"""A small real dataset, written with the format's own writer and the built-in codecs: no build, no command line.

Two splits, three shards, blocks of a few documents, one document in two parts, and every kind of view: units of one
symbol (bpe), independent units of many (zstd) and dependent ones (gzip, sharing the ids of the bytes).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcdata.codecs.base import Codec, codec_class
from pcdata.codecs.requests import parse_request
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.assemble import EncodedBlock, assemble
from pcdata.dataset.block import Block, Metadata
from pcdata.dataset.manifest import (
    MANIFEST,
    Amount,
    FileEntry,
    FittedView,
    Manifest,
    base_fingerprint,
    load_manifest,
    view_fingerprint,
)

VIEWS = ("bpe:vocab_size=300", "zstd:size=64,dictionary=0", "gzip:ids=raw")
HOSTILE = {
    b"empty.txt": b"",
    b"one": b"\0",
    b"nuls.bin": b"\0" * 300,
    b"not-utf8.py": b"x = '\xff\xfe'\xe2\x82\n",
    b"caf\xe9.txt": "café €10 🙂 e\u0301 \u202eevil\u202c\n".encode(),
    b"escape.sh": b"echo \x1b[31mred\x1b[0m\x07 \x9b2J \xc2\x9b2J\r\n\t\x08\x7f\n",
    b"dos.txt": b"\xef\xbb\xbfone\r\ntwo\rthree",
    b"bar.txt": "a │ b\n".encode(),
}


@dataclass(frozen=True)
class Row:
    """One row of the base files."""

    path: bytes
    raw: bytes
    lang: str = "text"
    start: int = 0
    rest: int = 0
    """Bytes of its document that come after it."""


def sample_rows(count: int = 20) -> list[Row]:
    """Python-like documents, the hostile ones, and one document in two parts."""
    rng = random.Random(7)
    words = ["return", "self", "for", "in", "range", "value", "if", "not", "None", "def", "import"]
    rows = []
    for number in range(count):
        lines = [" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(rng.randint(2, 20))]
        raw = f"# {number}\n".encode() + "\n    ".join(lines).encode() + b"\n"
        rows.append(Row(b"lib/file%02d.py" % number, raw, "python"))
    rows[3:3] = [Row(path, raw) for path, raw in HOSTILE.items()]
    rows[5:5] = [Row(b"big.txt", b"first part\n", rest=11), Row(b"big.txt", b"second part", start=11)]
    return rows


def write_dataset(
    folder: Path,
    rows: Sequence[Row] | None = None,
    views: Sequence[str] = VIEWS,
    block_documents: int = 4,
    shard_documents: int = 12,
) -> Manifest:
    """Write ``rows`` into ``folder``: the last of them as val, all others as train."""
    rows = sample_rows() if rows is None else list(rows)
    train = [rows[:-1][start : start + shard_documents] for start in range(0, len(rows) - 1, shard_documents)]
    shards = [*(("train", shard) for shard in train), ("val", rows[-1:])]
    fitted = [_fitted(folder, text, [row.raw for row in rows]) for text in views]

    def encoded(block: Sequence[Row]) -> EncodedBlock:
        raw = [row.raw for row in block]
        made = Block.of(raw, [Metadata(row.path, row.lang, "made") for row in block])
        made.starts = [row.start for row in block]
        made.document_bytes = [row.start + len(row.raw) + row.rest for row in block]
        return made, {view.name: codec.encode(raw) for view, codec in fitted}

    reject = {"file": "caf\\xe9.bin", "position": 0, "reason": "binary", "detail": "it has a NUL byte"}
    return assemble(
        folder,
        [(split, map(encoded, _blocks(shard, block_documents))) for split, shard in shards],
        fitted,
        options={"inputs": ["made"]},
        rejects=json.dumps(reject).encode() + b"\n",
        reject_counts={"binary": 1},
    )


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest by another, digest and all."""
    (folder / MANIFEST).write_bytes(manifest.to_bytes())


def reseal(folder: Path) -> None:
    """Make the manifest agree with the files as they are now: sizes, hashes, fingerprints."""

    def entry(old: FileEntry) -> FileEntry:
        data = (folder / old.path).read_bytes()
        return FileEntry(old.path, len(data), hashlib.sha256(data).hexdigest())

    def shards(splits: dict[str, Any]) -> dict[str, Any]:
        return {split: tuple(replace(shard, file=entry(shard.file)) for shard in of) for split, of in splits.items()}

    manifest = load_manifest(folder)
    base = replace(manifest.base, splits=shards(manifest.base.splits))
    base = replace(base, fingerprint=base_fingerprint(base.splits))
    views = [
        replace(view, splits=shards(view.splits), artifact=tuple(map(entry, view.artifact))) for view in manifest.views
    ]
    views = [replace(view, fingerprint=view_fingerprint(view)) for view in views]
    save(folder, replace(manifest, base=base, views=tuple(views), rejects_file=entry(manifest.rejects_file)))


def save_as_json(folder: Path, body: Any) -> None:
    """Replace the manifest by whatever JSON, digest and all: what no ``Manifest`` can be."""
    text = (json.dumps({**body, "digest": ""} if isinstance(body, dict) else body, indent=1) + "\n").encode()
    digest = hashlib.blake2b(text, digest_size=32, person=b"pcdata.manifest").hexdigest().encode()
    (folder / MANIFEST).write_bytes(text[:14] + digest + text[14:])


def _blocks(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _fitted(folder: Path, text: str, sample: list[bytes]) -> tuple[FittedView, Codec]:
    request = parse_request(text)
    cls = codec_class(request.codec)
    artifact = cls.fit(request.parameters, sample) if cls.is_fitted(request.parameters) else {}
    backends = cls.choose_backends(request.parameters, artifact, sample)
    view = FittedView(
        name=request.name,
        codec=request.codec,
        parameters=request.parameter_values,
        backends=backends,
        fitted_on=Amount(len(sample), sum(map(len, sample))) if artifact else None,
        artifact=tuple(
            write_file(folder, f"views/{request.name}/artifact/{name}", data) for name, data in artifact.items()
        ),
        versions=cls.versions(backends),
        ids=request.ids,
    )
    return view, cls(request.parameters, artifact, backends)
