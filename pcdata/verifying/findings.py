"""Findings: one thing wrong with a dataset, and where; and the results for one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from pcdata.terminal import safe

RESTORE = "restore it from a copy or rebuild the dataset"
REBUILD = "its hash is right, so it was written this way: rebuild the dataset and report this"

MOST_FINDINGS = 10
"""After this many findings in one file, the rest of it is not checked."""


@dataclass(frozen=True)
class Finding:
    """A sentence: where, what, what next."""

    file: str
    """Relative to the dataset's folder."""
    what: str
    do: str
    block: int | None = None
    row: int | None = None
    """Of the block, from 0."""

    def __str__(self) -> str:
        block = "" if self.block is None else f" block {self.block}"
        row = "" if self.row is None else f", row {self.row}"
        return f"{safe(self.file)}{block}{row}: {safe(self.what)}; {self.do}"


class Fault(Exception):
    """Ends the check of a file, because the rest of it would be meaningless."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding


@dataclass(frozen=True)
class Edge:
    """The first or last row of a shard, as part of a document that may be cut."""

    path: bytes
    source: str
    start: int
    end: int
    """End of the row's bytes in its document."""
    document_bytes: int
    """End of its document."""

    def continues(self, before: Edge | None) -> bool:
        """Whether this row may follow ``before``: a new document begins, or the same one continues."""
        if self.start == 0:
            return before is None or before.ends
        return before is not None and (self.path, self.source, self.start, self.document_bytes) == (
            before.path,
            before.source,
            before.end,
            before.document_bytes,
        )

    @property
    def ends(self) -> bool:
        """Whether its document ends with this row."""
        return self.end == self.document_bytes


@dataclass
class Checked:
    """The results for one file."""

    findings: list[Finding] = field(default_factory=list)
    languages: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of a base file: documents and raw bytes by language."""
    first: Edge | None = None
    last: Edge | None = None
    histogram: list[int] = field(default_factory=list)
    """Of a view file: units by the bit length of their raw bytes."""
    decoded: int = 0

    def add(self, findings: Iterator[Finding]) -> None:
        """Add findings; raises ``Fault`` if the file has too many."""
        self.findings += islice(findings, MOST_FINDINGS - len(self.findings))
        more = next(findings, None)
        if more is not None:
            raise Fault(Finding(more.file, "there is more like this; the rest was not checked", REBUILD))
