"""Make a dataset from documents and symbols that another tool encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.block import Block
from pcdata.dataset.columns import ViewColumns
from pcdata.dataset.listing import Promises, end_of_ids, listed_base, listed_views
from pcdata.dataset.manifest import MANIFEST, REJECTS, FittedView, Manifest
from pcdata.dataset.vocab import RAW_IDS
from pcdata.dataset.writer import ShardWriter, WrittenShard, abandoned_on_error

EncodedBlock: TypeAlias = tuple[Block, Mapping[str, ViewColumns]]
"""The documents of a record batch, and their columns in each view."""


def assemble(
    folder: Path,
    shards: Iterable[tuple[str, Iterable[EncodedBlock]]],
    views: Sequence[tuple[FittedView, Promises]] = (),
    *,
    options: Mapping[str, Any] | None = None,
    rejects: bytes = b"",
    reject_counts: Mapping[str, int] | None = None,
) -> Manifest:
    """Write a dataset into ``folder``: shards, each with its split, and then the manifest.

    Does not check what ``pcdata verify`` checks. ``rejects`` is the content of rejects.jsonl, ``reject_counts`` the
    number of its lines by reason.
    """
    types = {fitted.name: promises.types for fitted, promises in views}
    numbers: Counter[str] = Counter()
    written: list[tuple[str, WrittenShard]] = []
    for split, blocks in shards:
        files = ShardWriter(folder, f"{split}-{numbers[split]:05}", types)
        with abandoned_on_error(files):
            for block, columns in blocks:
                files.write(block, columns.__getitem__)
            written.append((split, files.finish()))
        numbers[split] += 1
    listed = listed_views(views, [(split, shard.views) for split, shard in written])
    manifest = Manifest(
        options=dict(options or {}),
        base=listed_base([(split, shard.base) for split, shard in written]),
        views=tuple(listed),
        next_slot=len(listed),
        next_id=end_of_ids(listed, RAW_IDS),
        rejects=dict(reject_counts or {}),
        rejects_file=write_file(folder, REJECTS, rejects),
        versions={},
    )
    write_file(folder, MANIFEST, manifest.to_bytes())
    return manifest
