"""Names in options that no document has: paths of ``--val-list``, fields of ``--keep``.

Each scan task writes which of them its documents have, as ``scan/00000.met``; from all of these, the missing names are
known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pcdata.building.options import DatasetOptions
from pcdata.building.workspace import Workspace
from pcdata.dataset.block import Metadata
from pcdata.errors import UnbuildableError
from pcdata.inputs.file_names import printable

_SHOWN = 3


class Met:
    """Which of the names a task's documents have, including documents that a filter leaves out."""

    def __init__(self, options: DatasetOptions) -> None:
        self._listed = options.split.listed_paths
        self._columns = [column.name for column in options.inputs.kept_columns]
        self._lines: set[int] = set()
        self._values: Counter[str] = Counter()
        self._documents = 0

    def add(self, metadata: Metadata) -> None:
        self._documents += 1
        if metadata.path in self._listed:
            self._lines.add(self._listed[metadata.path])
        for name, value in zip(self._columns, metadata.kept, strict=True):
            self._values[name] += value is not None

    def write(self, workspace: Workspace, name: str) -> None:
        """Write it with the task's digests, if options name anything."""
        if self._listed or self._columns:
            met = {"documents": self._documents, "lines": sorted(self._lines), "values": self._values}
            workspace.write_json(f"{name}.met", met)


def check_mentions(options: DatasetOptions, workspace: Workspace, say: Callable[[str], None]) -> None:
    """Raise ``UnbuildableError`` for listed paths that no document has, since documents meant for val would be trained
    on. Warn of kept columns that are empty; with ``--strict``, these raise, too."""
    met = [workspace.read_json(name) for name in workspace.names("scan/*.met")]
    val_list, listed = options.split.val_list, options.split.listed_paths
    if val_list is not None:
        lines = {line for task in met for line in task["lines"]}
        missing = [f"line {line} {printable(path)!r}" for path, line in listed.items() if line not in lines]
        if missing:
            shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
            raise UnbuildableError(
                f"{val_list}: {len(missing):,} of {len(listed):,} paths belong to no document: {shown}; "
                "a line is a path as rejects.jsonl and pcdata show print it, without blanks, ./ or a byte order mark"
            )
    documents = sum(task["documents"] for task in met)
    for column in options.inputs.kept_columns:
        if documents and not any(task["values"].get(column.name) for task in met):
            text = f"--keep {column.name}: none of {documents:,} documents has it, so the column is empty"
            if options.inputs.strict:
                raise UnbuildableError(f"{text}; name a field that they have, or build without --strict")
            say(f"warning: {text}")
