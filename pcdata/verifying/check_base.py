"""Checks inside a base file whose hash is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pcdata.dataset import schema
from pcdata.dataset.columns import BaseColumns
from pcdata.dataset.identity import doc_id_of
from pcdata.dataset.manifest import BaseShard, ViewShard
from pcdata.verifying.blocks import base_blocks
from pcdata.verifying.findings import REBUILD, Checked, Edge, Fault, Finding


def check_base(
    folder: Path, shard: BaseShard, kept: Sequence[schema.KeptColumn], advance: Callable[[int], None]
) -> Checked:
    """Look at every row; ``advance`` is called with the raw bytes checked."""
    checked = Checked()
    raw_bytes = 0
    try:
        for block, columns in enumerate(base_blocks(folder, shard, kept)):
            checked.add(_block_findings(shard.file.path, block, columns, checked))
            raw_bytes += int(columns.raw_offsets[-1])
            advance(int(columns.raw_offsets[-1]))
    except Fault as fault:
        checked.findings.append(fault.finding)
        return checked
    found = {"documents": sum(shard.block_documents), "raw_bytes": raw_bytes}
    checked.findings += sum_findings(shard, found)
    return checked


def _block_findings(path: str, block: int, columns: BaseColumns, checked: Checked) -> Iterator[Finding]:
    metadata = [columns.metadata[name].to_pylist() for name in (schema.PATH, schema.SOURCE, schema.LANG)]
    for row, (name, source, lang) in enumerate(zip(*metadata, strict=True)):
        raw = columns.raw_of(row)
        if doc_id_of(raw.data) != columns.doc_ids[row].tobytes():
            yield Finding(path, "doc_id is not the hash of raw", REBUILD, block, row)
        start = int(columns.part_starts[row])
        edge = Edge(name, source, start, start + len(raw), int(columns.document_bytes[row]))
        if checked.first is None:
            checked.first = edge
        elif not edge.continues(checked.last):
            what = f"it is a part from byte {start:,} on, and the row before does not end there, or with its document"
            yield Finding(path, what, REBUILD, block, row)
        checked.last = edge
        documents, size = checked.languages.get(lang, (0, 0))
        checked.languages[lang] = (documents + 1, size + len(raw))


def sum_findings(shard: BaseShard | ViewShard, found: dict[str, int]) -> Iterator[Finding]:
    """Sums over a file that differ from the manifest."""
    for name, count in found.items():
        listed = getattr(shard, name)
        if count != listed:
            what = f"it holds {count:,} {name.replace('_', ' ')}, the manifest says {listed:,}"
            yield Finding(shard.file.path, what, REBUILD)
