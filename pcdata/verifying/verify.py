"""Check that a dataset is what its manifest says, and that every view decodes to its documents.

First the manifest is checked by its own digest, then every file by size and SHA-256: nothing is parsed before its hash
has been checked. Then the files are opened, in child processes (see ``children``): base files first, then each view's
file with its base.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

from pcdata.building.workspace import STATE
from pcdata.dataset.hashing import file_fault
from pcdata.dataset.listing import OTHER_LANGUAGES, added_amounts
from pcdata.dataset.manifest import MANIFEST, FileEntry, Manifest, View, load_manifest
from pcdata.dataset.names import TEMPORARY
from pcdata.errors import OptionError
from pcdata.options import at_once
from pcdata.text import size
from pcdata.verifying.check_manifest import manifest_findings, reject_findings
from pcdata.verifying.children import Children, Place, Task
from pcdata.verifying.findings import REBUILD, RESTORE, Checked, Finding

Progress: TypeAlias = Callable[[int], object]
"""Called with the bytes processed since the last call, in total ``work_bytes``; tqdm's ``update`` fits."""


@dataclass
class VerifyReport:
    documents: int
    files: int
    """Listed files, and the manifest."""
    bytes: int
    """Of those files."""
    views: int
    quick: bool
    sample: float | None
    decoded: int = 0
    """Documents decoded and compared, summed over views."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def render(self) -> str:
        """One line per finding and a sentence on what was checked; safe to print."""
        return "\n".join([*(f"  {finding}" for finding in self.findings), self._summary()])

    def __str__(self) -> str:
        return self.render()

    def _summary(self) -> str:
        found = {0: "sound", 1: "1 finding"}.get(len(self.findings), f"{len(self.findings):,} findings")
        hashed = f"{found}: {self.files:,} files ({size(self.bytes)}) hashed"
        if self.quick:
            return f"{hashed}; not decoded (--quick)"
        share = "" if self.sample is None else f", a sample of {self.sample:g} chosen by their ids"
        wanted = self.documents * self.views
        content = f"{self.documents:,} documents in {self.views} views, {self.decoded:,} of {wanted:,} decoded"
        return f"{hashed}; {content}{share}"

    def to_dict(self) -> dict[str, Any]:
        findings = [{**vars(finding), "text": str(finding)} for finding in self.findings]
        return {"ok": self.ok, **vars(self), "findings": findings}


def work_bytes(manifest: Manifest, *, quick: bool) -> int:
    """The total of ``progress``, if nothing is found."""
    hashed = sum(entry.bytes for entry in manifest.files())
    raw = sum(shard.raw_bytes for shard in manifest.base.shards)
    return hashed if quick else hashed + raw * (1 + len(manifest.views))


def verify(
    folder: Path,
    *,
    quick: bool = False,
    sample: float | None = None,
    workers: int = 1,
    progress: Progress = lambda _: None,
) -> VerifyReport:
    """Check a dataset; ``quick`` only hashes, ``sample`` (0 … 1) decodes that share of documents instead of all.

    Raises ``DatasetError`` if the manifest, on which everything else depends, is missing, damaged or of another
    version; and ``OSError`` if the machine refuses to read a file, which says nothing about the file.
    """
    workers = at_once(workers)
    if sample is not None and not 0 < sample <= 1:
        raise OptionError(f"--sample must be above 0 and at most 1, got {sample:g}")
    manifest = load_manifest(folder)
    entries = manifest.files()
    n_documents = sum(shard.documents for shard in manifest.base.shards)
    n_bytes = sum(entry.bytes for entry in entries) + (folder / MANIFEST).stat().st_size
    report = VerifyReport(n_documents, len(entries) + 1, n_bytes, len(manifest.views), quick, sample)
    report.findings += manifest_findings(folder, manifest)
    report.findings += _unlisted(folder, entries)
    with closing(Children(folder, sample, workers, progress)) as children:
        if not quick:
            children.start()
        damaged = {finding.file: finding for finding in _hash_files(folder, entries, workers, progress)}
        report.findings += damaged.values()
        if quick:
            return report
        if manifest.rejects_file.path not in damaged:
            report.findings += reject_findings(folder, manifest)
        _check_content(manifest, {*damaged}, report, children)
    return report


def _unlisted(folder: Path, entries: list[FileEntry]) -> Iterator[Finding]:
    listed = {MANIFEST, *(entry.path for entry in entries)}
    if (folder / STATE).exists():
        what = "it is the state of an interrupted command"
        yield Finding(STATE, what, "rerun the same pcdata command, which finishes and cleans up")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name in listed or name.split("/")[0] == STATE or (path.is_dir() and not path.is_symlink()):
            continue
        if name.endswith(TEMPORARY):
            yield Finding(name, "it was left by an interrupted write", "remove it")
        else:
            yield Finding(name, "the manifest does not list it", "remove it, or rebuild the dataset")


def _hash_files(folder: Path, entries: list[FileEntry], workers: int, progress: Progress) -> Iterator[Finding]:
    """Compare every file's size and SHA-256. In threads, because hashing releases the GIL."""
    lock = threading.Lock()

    def advance(count: int) -> None:
        with lock:
            progress(count)

    with ThreadPoolExecutor(workers) as pool:
        for entry, what in zip(entries, pool.map(lambda one: file_fault(folder, one, advance), entries), strict=True):
            if what is not None:
                yield Finding(entry.path, what, RESTORE)


def _check_content(manifest: Manifest, damaged: set[str], report: VerifyReport, children: Children) -> None:
    """Open the files whose hash is right: base files and codecs, then each view's file if it, its base and its codec
    are sound."""
    splits = manifest.base.splits.items()
    base_files = {(split, number): one.file.path for split, shards in splits for number, one in enumerate(shards)}
    codecs = {
        Task(view.codec_file, view.name): view
        for view in manifest.views
        if not any(entry.path in damaged for entry in view.artifact)  # without the artifact nothing decodes
    }
    bases = [Task(file, None, place) for place, file in base_files.items() if file not in damaged]
    first = _run([*codecs, *bases], report, children)
    sound = {task.place: checked for task, checked in first.items() if task.place is not None}
    report.findings += _base_findings(manifest, base_files, sound)
    views = [view for task, view in codecs.items() if not first[task].findings]
    tasks = [
        Task(view.splits[split][number].file.path, view.name, (split, number))
        for view in views
        for (split, number), checked in sound.items()
        if not checked.findings
    ]
    files = _run([task for task in tasks if task.file not in damaged], report, children)
    for view in views:
        of_view = [checked for task, checked in files.items() if task.view == view.name]
        if len(of_view) == len(base_files):
            report.findings += _histogram_findings(view, of_view)


def _run(tasks: list[Task], report: VerifyReport, children: Children) -> dict[Task, Checked]:
    """The results of the tasks, in their order, without skipped ones; adds findings and counts to the report."""
    done = dict(children.check(tasks))
    results = {task: done[task] for task in tasks if task in done}
    for checked in results.values():
        report.findings += checked.findings
        report.decoded += checked.decoded
    return results


def _base_findings(manifest: Manifest, files: dict[Place, str], bases: dict[Place, Checked]) -> Iterator[Finding]:
    """Checks over all base files together: languages, and documents cut across two shards."""
    for (split, number), checked in bases.items():
        before = bases.get((split, number - 1))
        known = number == 0 or (before is not None and not before.findings)
        if known and checked.first is not None and not checked.first.continues(before.last if before else None):
            what = f"it is a part from byte {checked.first.start:,} on, and the shard before does not end there"
            yield Finding(files[split, number], what, REBUILD, 0, 0)
        if number + 1 == len(manifest.base.splits[split]) and checked.last is not None and not checked.last.ends:
            yield Finding(files[split, number], "the last row is not the end of its document", REBUILD)
    if len(manifest.base.shards) == len(bases) and not any(c.findings for c in bases.values()):
        yield from _language_findings(manifest, list(bases.values()))


def _language_findings(manifest: Manifest, bases: list[Checked]) -> Iterator[Finding]:
    languages = manifest.base.languages

    def listed(name: str) -> str:
        return name if name in languages or OTHER_LANGUAGES not in languages else OTHER_LANGUAGES

    sums = added_amounts({listed(name): size} for checked in bases for name, size in checked.languages.items())
    listed_sums = {name: (amount.documents, amount.raw_bytes) for name, amount in languages.items()}
    for name in sorted(sums.keys() | languages.keys()):
        found, said = sums.get(name, (0, 0)), listed_sums.get(name, (0, 0))
        if found != said:
            what = f"language {name} has {found[0]:,} documents of {found[1]:,} bytes, not {said[0]:,} of {said[1]:,}"
            yield Finding(MANIFEST, what, REBUILD)


def _histogram_findings(view: View, files: list[Checked]) -> Iterator[Finding]:
    if any(checked.findings for checked in files):
        return
    found = [sum(counts) for counts in zip(*(checked.histogram for checked in files), strict=True)]
    if any(a != b for a, b in zip_longest(found, view.unit_bytes_histogram, fillvalue=0)):
        yield Finding(MANIFEST, f"view {view.name}: unit_bytes_histogram is not that of its units", REBUILD)
