"""Documents as they were read: parts joined again, their bytes checked against their hashes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pcdata.dataset import Dataset, Document, Split
from pcdata.dataset.identity import doc_id_of
from pcdata.dataset.listing import OTHER_LANGUAGES
from pcdata.errors import DatasetError, OptionError, meant


@dataclass(frozen=True)
class Choice:
    """Which documents to export."""

    splits: tuple[str, ...]
    langs: tuple[str, ...] = ()
    """Case-insensitive; empty: all."""
    limit: int = 0
    """The first N documents; 0: all."""


@dataclass(frozen=True)
class Whole:
    """A document as it was before it was cut: handles of its rows, in order. Metadata is that of the first."""

    parts: tuple[Document, ...]

    @property
    def first(self) -> Document:
        return self.parts[0]

    def chunks(self) -> Iterator[memoryview]:
        """Its bytes, part by part, each a read-only view of the mapped file.

        Raises ``DatasetError`` with the position of a part whose bytes do not match its ``doc_id``.
        """
        for part in self.parts:
            raw = part.raw.data
            if doc_id_of(raw).hex() != part.doc_id:
                raise DatasetError(
                    f"{_where(part)}: the bytes are not those of its doc_id; run pcdata verify and rebuild"
                )
            yield raw

    def raw(self) -> bytes:
        """All bytes (a copy)."""
        return b"".join(self.chunks())


class Writer(ABC):
    """Takes documents one by one."""

    renamed: int = 0
    """How many documents could not keep their path."""

    @abstractmethod
    def add(self, document: Whole) -> bool:
        """Returns false for a document that the format cannot hold."""

    def finish(self) -> None:  # noqa: B027 (most writers hold nothing back)
        """Write what was held back. Not called after an error."""


def whole_documents(dataset: Dataset, choice: Choice) -> Iterator[Whole]:
    """The chosen documents in dataset order. Raises ``DatasetError`` for a split that is not there, ``OptionError`` for
    a language that no document is in."""
    wanted = {lang.casefold() for lang in choice.langs}
    languages = dataset.manifest.base.languages
    there = {lang.casefold() for lang in languages}
    for lang in choice.langs:
        if lang.casefold() not in there and OTHER_LANGUAGES not in languages:
            raise OptionError(f"no document of {dataset.folder} is in --lang {lang}; {meant(lang, languages)}")
    found = (
        whole
        for split in [dataset.split(name) for name in choice.splits]
        for whole in _joined(split)
        if not wanted or whole.first.lang.casefold() in wanted
    )
    return islice(found, choice.limit or None)


def _joined(split: Split) -> Iterator[Whole]:
    parts: list[Document] = []
    end = 0
    for row in split:
        if row.part_start_bytes != end:
            raise DatasetError(
                f"{_where(row)} begins at byte {row.part_start_bytes} of its document, the row before it ends at "
                f"{end}; run pcdata verify and rebuild"
            )
        parts.append(row)
        end += len(row.raw)
        if end == row.document_bytes:
            yield Whole(tuple(parts))
            parts, end = [], 0
    if parts:
        raise DatasetError(f"the last document of {split.name} is cut short; run pcdata verify and rebuild")


def _where(row: Document) -> str:
    return f"{row.split.where(row.block)}, row {row.row}"
