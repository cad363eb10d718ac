"""What a folder holds: its files, and the documents of a dataset."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pcdata.dataset import Dataset


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file, in order of their paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def documents_of(folder: Path) -> Counter[tuple[bytes, bytes]]:
    """(path, raw) of every document, parts joined."""
    dataset = Dataset(folder)
    found: Counter[tuple[bytes, bytes]] = Counter()
    for name in dataset.splits:
        split = dataset.split(name)
        whole = b""
        path = b""
        for document in map(split.document, range(split.n_documents)):
            if document.part_start_bytes:
                assert (document.path, document.part_start_bytes) == (path, len(whole))
            path, whole = document.path, whole + document.raw.tobytes()
            if len(whole) == document.document_bytes:  # this was its last part
                found[(path, whole)] += 1
                path, whole = b"", b""
        assert (path, whole) == (b"", b"")
    return found
