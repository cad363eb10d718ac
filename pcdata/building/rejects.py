"""Rejects between scan and ``rejects.jsonl``."""

from __future__ import annotations

import json
from typing import NamedTuple

from pcdata.dataset.json_files import parse_json_text
from pcdata.inputs.records import Reject


class RejectLine(NamedTuple):
    """A reject: its place for sorting, its reason for counting, its line."""

    entry: int
    position: int
    reason: str
    json: str

    @classmethod
    def of(cls, entry: int, reject: Reject) -> RejectLine:
        """``entry`` is the number of the entry in its scan task."""
        return cls(entry, reject.position, reject.reason, reject.to_json())

    @classmethod
    def from_text(cls, text: str) -> RejectLine:
        """The inverse of ``to_text``."""
        entry, position, reason, line = text.split("\t")
        return cls(int(entry), int(position), reason, line)

    def after(self, lines: int) -> RejectLine:
        """The same, if its position was counted in a range that ``lines`` lines precede."""
        if not lines:
            return self
        position = self.position + lines
        return self._replace(position=position, json=json.dumps({**parse_json_text(self.json), "position": position}))

    def to_text(self) -> str:
        """One line; JSON and reasons hold no tabs."""
        return f"{self.entry}\t{self.position}\t{self.reason}\t{self.json}\n"
