"""Checks that the manifest and rejects.jsonl are consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pcdata.building.config_file import rendered
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.manifest import MANIFEST, REJECTS, FileEntry, Manifest, View, base_fingerprint, view_fingerprint
from pcdata.dataset.vocab import FIRST_BYTE, N_BYTES, RAW_IDS
from pcdata.errors import DatasetError
from pcdata.verifying.findings import REBUILD, Finding

REJECT_KEYS: Final = {"file": str, "position": int, "reason": str, "detail": str}
_LONGEST_REJECT: Final = 1_000_000
"""Bytes of a line: a name, a reason and a sentence, with every character escaped."""


def manifest_findings(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Contradictions inside the manifest, beyond those that it does not load with."""
    for what in _faults(folder, manifest):
        yield Finding(MANIFEST, what, REBUILD)


def _faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    yield from _file_faults(manifest.files())
    yield from _shard_faults(manifest)
    for view in manifest.views:
        yield from (f"view {view.name}: {what}" for what in (*_id_faults(manifest, view), *_histogram_faults(view)))
    yield from _option_faults(manifest, folder)
    fingerprints = {"base": (manifest.base.fingerprint, base_fingerprint(manifest.base.splits))}
    fingerprints |= {f"view {view.name}": (view.fingerprint, view_fingerprint(view)) for view in manifest.views}
    for name, (listed, right) in fingerprints.items():
        if listed != right:
            yield f"{name}: the fingerprint is {listed}, not {right}"


def _file_faults(entries: list[FileEntry]) -> Iterator[str]:
    for path, count in Counter(entry.path for entry in entries).items():
        if count > 1:
            yield f"it lists {path} {count} times"


def _shard_faults(manifest: Manifest) -> Iterator[str]:
    """Whether shards have the right names, and views the same shards as the base."""
    if manifest.rejects_file.path != REJECTS:
        yield f"rejects are in {manifest.rejects_file.path}, not in {REJECTS}"
    for split, shards in manifest.base.splits.items():
        files = {"base": [shard.file.path for shard in shards]}
        for view in manifest.views:
            files[f"views/{view.name}"] = [shard.file.path for shard in view.splits[split]]
        for folder, paths in files.items():
            if paths != [f"{folder}/{split}-{number:05}.arrow" for number in range(len(shards))]:
                yield f"the files of split {split} in {folder} are not {len(shards)} shards counted from 00000"
        for shard in shards:
            if sum(shard.block_documents) != shard.documents:
                yield f"{shard.file.path} has {shard.documents} documents, but its blocks {sum(shard.block_documents)}"


def _id_faults(manifest: Manifest, view: View) -> Iterator[str]:
    others = [other for other in manifest.views if other is not view]
    if any(other.slot == view.slot for other in others):
        yield f"another view has its slot {view.slot}"
    if view.slot >= manifest.next_slot:
        yield f"slot {view.slot} is not below next_slot {manifest.next_slot}"
    ids = view.view_ids
    if view.ids == "raw":
        if ids.first_id != FIRST_BYTE or ids.n_symbols > N_BYTES:
            yield f"it shares the ids of the bytes, but has {ids.first_id} … {ids.end_id - 1}"
    elif not RAW_IDS <= ids.first_id < ids.end_id <= manifest.next_id:
        yield f"its ids {ids.first_id} … {ids.end_id - 1} are not in {RAW_IDS} … {manifest.next_id - 1}"
    elif any(o.ids == "own" and o.first_id < ids.end_id and ids.first_id < o.view_ids.end_id for o in others):
        yield f"its ids {ids.first_id} … {ids.end_id - 1} are another view's too"


def _histogram_faults(view: View) -> Iterator[str]:
    histogram, units = view.unit_bytes_histogram, sum(shard.units for shard in view.shards)
    if histogram and (histogram[0] or not histogram[-1]):
        yield "unit_bytes_histogram has units of no bytes, or ends in zeros"
    if sum(histogram) != units:
        yield f"unit_bytes_histogram counts {sum(histogram):,} units, its files {units:,}"


def _option_faults(manifest: Manifest, folder: Path) -> Iterator[str]:
    """Whether the options are valid, and match the views."""
    asked = manifest.options.get("compressors")
    if asked is None:
        return  # not made by a build
    try:
        rendered(manifest.options, folder)
    except DatasetError as error:
        yield str(error).partition(": ")[2].rpartition(";")[0]
    keys = ("name", "codec", "parameters", "ids")
    views = [{key: getattr(view, key) for key in keys} for view in manifest.views]
    if [{key: one.get(key) for key in keys} for one in asked] != views:
        yield "its views are not those of options.compressors"


def reject_findings(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Whether rejects.jsonl has the lines that the manifest counts. Its hash was found right."""
    counts: Counter[str] = Counter()
    with (folder / REJECTS).open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_REJECT), b""), start=1):
            try:
                reject = parse_json(line)
            except ValueError:
                reject = None
            if not isinstance(reject, dict) or {key: type(value) for key, value in reject.items()} != REJECT_KEYS:
                yield Finding(REJECTS, f"line {number} is not an object of {', '.join(sorted(REJECT_KEYS))}", REBUILD)
                return
            counts[reject["reason"]] += 1
    for reason in sorted(counts.keys() | manifest.rejects.keys()):
        if counts[reason] != manifest.rejects.get(reason, 0):
            what = f"{counts[reason]} lines say {reason!r}, the manifest counts {manifest.rejects.get(reason, 0)}"
            yield Finding(REJECTS, what, REBUILD)
