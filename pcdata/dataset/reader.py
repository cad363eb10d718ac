"""Opening a dataset and reading it without copying it.

Opening reads the manifest only. A shard is mapped when one of its blocks is first requested, and a view's file only
when that view is. Every returned array is a read-only view of the mapped file. A file's size is compared with the
manifest before it is parsed, and a block's form (``arrow_file``) and offsets (``columns``) are checked before it is
returned; its *content* is not (``pcdata verify`` does that).
"""

from __future__ import annotations

import html
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdata.dataset import schema
from pcdata.dataset.alignment import Alignment
from pcdata.dataset.arrow_file import ArrowFile
from pcdata.dataset.columns import BaseColumns, ViewColumns, base_columns, view_columns
from pcdata.dataset.document import Document
from pcdata.dataset.manifest import SPLITS, Manifest, View, load_manifest
from pcdata.dataset.vocab import Vocabulary
from pcdata.errors import DatasetError

_K = TypeVar("_K")
_V = TypeVar("_V")

_BLOCKS_KEPT = 8192
"""How many blocks' arrays a split keeps, of base and of views. They are views of the mapped files, and take 4.6 kB
(base) and 2 kB (view) per block, 54 MB in all, for 65 GB of raw bytes. A document of another block takes 250 µs instead
of 5."""


class Dataset:
    """A built dataset. Cheap to pickle: only its path is, and unpickling opens it again."""

    def __init__(self, folder: str | Path) -> None:
        """Raises ``DatasetError`` if ``folder`` holds no dataset that this version can read."""
        self.folder = Path(folder)
        self.manifest: Manifest = load_manifest(self.folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (self.folder,)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.manifest.vocabulary

    def split(self, name: str) -> Split:
        """One of ``train`` and ``val``. Raises ``DatasetError`` if the dataset has no such split, or it is empty."""
        if not self.manifest.base.splits.get(name):
            hint = "; build it with --val-fraction above 0" if name == "val" else ""
            found = ", ".join(self.splits) or "none"
            raise DatasetError(f"{self.folder} has no {name} split; its splits: {found}{hint}")
        return Split(self, name)

    @property
    def splits(self) -> list[str]:
        """The names of the splits that hold documents."""
        return [name for name in SPLITS if self.manifest.base.splits.get(name)]

    @property
    def train(self) -> Split:
        """The split to train on. Raises ``DatasetError`` if it is empty."""
        return self.split("train")

    @property
    def val(self) -> Split:
        """The split for validation. Raises ``DatasetError`` if it is empty."""
        return self.split("val")

    @property
    def views(self) -> list[str]:
        """The names of the compressed views."""
        return [view.name for view in self.manifest.views]

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.split(name).n_documents:,} {name}" for name in self.splits) or "no"
        raw_bytes = sum(shard.raw_bytes for shard in self.manifest.base.shards)
        views = ", ".join(self.views) or "none"
        return f"<Dataset {str(self.folder)!r}: {counts} documents, {raw_bytes:,} bytes; views: {views}>"

    def _repr_html_(self) -> str:
        """For a notebook: what the splits hold, and the views."""
        splits = [(one.name, f"{one.n_documents:,}", f"{one.raw_bytes:,}") for one in map(self.split, self.splits)]
        raw_bytes = sum(shard.raw_bytes for shard in self.manifest.base.shards)
        views = []
        for view in self.manifest.views:
            symbols = sum(shard.symbols for shard in view.shards)
            views.append((view.name, f"{symbols:,}", f"{raw_bytes / symbols:.2f}" if symbols else "–"))
        return (
            f"<p><b>{html.escape(str(self.folder))}</b></p>"
            + _html_table(("split", "documents", "raw bytes"), splits)
            + _html_table(("view", "symbols", "raw bytes/symbol"), views)
        )


def _html_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


class Split:
    """The documents of one split, in order. A *block* is a record batch: the unit of sequential reading."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        self.dataset = dataset
        self.name = name
        self._base = dataset.manifest.base.splits[name]
        self.block_documents: NDArray[np.int64] = np.array(
            [count for shard in self._base for count in shard.block_documents], np.int64
        )
        """Documents per block, over all shards."""
        self._first_document: list[int] = [0, *np.cumsum(self.block_documents).tolist()]
        self._first_block = [0, *accumulate(len(shard.block_documents) for shard in self._base)]
        self._files: dict[tuple[str | None, int], ArrowFile] = {}
        self.random = False
        """Whether the kernel is to read nothing ahead in files mapped from now on (``mapping``)."""
        self._bases: OrderedDict[int, BaseColumns] = OrderedDict()
        self._views: OrderedDict[tuple[str, int], ViewColumns] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return Split, (self.dataset, self.name)

    @property
    def n_blocks(self) -> int:
        return len(self.block_documents)

    @property
    def n_documents(self) -> int:
        return self._first_document[-1]

    @property
    def raw_bytes(self) -> int:
        return sum(shard.raw_bytes for shard in self._base)

    def document_lengths(self) -> NDArray[np.int64]:
        """Raw bytes of every document, in order; a new array. Maps every shard, and reads no document."""
        return np.concatenate([np.diff(self.base(block).raw_offsets) for block in range(self.n_blocks)])

    def base(self, block: int) -> BaseColumns:
        """The documents of a block: read-only views of the mapped file."""
        columns = self._bases.get(block)
        if columns is None:
            batch, where = self._batch(block, None)
            columns = _remember(self._bases, block, base_columns(batch, where))
        return columns

    def view(self, name: str, block: int) -> ViewColumns:
        """The symbols and units of a block in one view: read-only views of the mapped file."""
        columns = self._views.get((name, block))
        if columns is None:
            view = self.dataset.manifest.view(name)
            batch, where = self._batch(block, view)
            columns = _remember(self._views, (name, block), view_columns(batch, view.types, where))
        return columns

    def alignment(self, name: str, block: int, row: int) -> Alignment:
        """The alignment points of one document, checked against its lengths.

        Raises ``DatasetError`` unless the units rise strictly to the ends of symbols and raw bytes.
        """
        view, base = self.view(name, block), self.base(block)
        points = view.alignment_of(row)
        n_symbols = int(view.symbol_offsets[row + 1] - view.symbol_offsets[row])
        n_bytes = int(base.raw_offsets[row + 1] - base.raw_offsets[row])
        ends = (int(points.symbol_ends[-1]), int(points.raw_ends[-1])) if len(points.raw_ends) else (0, 0)
        strictly = view.unit_bytes_of(row).all() and (view.unit_symbols is None or view.unit_symbols_of(row).all())  # type: ignore[union-attr]
        if ends != (n_symbols, n_bytes) or not strictly:
            raise DatasetError(
                f"{self.where(block)}, row {row}: units of view {name} end at symbol {ends[0]} and byte {ends[1]}, "
                f"the document at {n_symbols} and {n_bytes}; run pcdata verify and rebuild"
            )
        return points

    def locate(self, document: int) -> tuple[int, int]:
        """(block, row) of the document with this number in the split. Raises ``IndexError`` past the end."""
        if not 0 <= document < self.n_documents:
            raise IndexError(f"document {document} of {self.n_documents}")
        block = bisect_right(self._first_document, document) - 1
        return block, document - self._first_document[block]

    def document(self, number: int) -> Document:
        """One document by its number in the split."""
        return Document(self, number, *self.locate(number))

    def __len__(self) -> int:
        return self.n_documents

    @overload
    def __getitem__(self, number: int) -> Document: ...
    @overload
    def __getitem__(self, number: slice) -> list[Document]: ...
    def __getitem__(self, number: int | slice) -> Document | list[Document]:
        if isinstance(number, slice):
            return [self.document(each) for each in range(*number.indices(self.n_documents))]
        return self.document(number + self.n_documents if number < 0 else number)

    def __iter__(self) -> Iterator[Document]:
        return map(self.document, range(self.n_documents))

    def __repr__(self) -> str:
        return (
            f"<{self.name} of {str(self.dataset.folder)!r}: {self.n_documents:,} documents, {self.raw_bytes:,} bytes>"
        )

    def where(self, block: int) -> str:
        """A block's place, for messages."""
        shard = bisect_right(self._first_block, block) - 1
        return f"{self._base[shard].file.path} block {block - self._first_block[shard]}"

    def _batch(self, block: int, view: View | None) -> tuple[pa.RecordBatch, str]:
        shard = bisect_right(self._first_block, block) - 1
        index = block - self._first_block[shard]
        key = (None if view is None else view.name, shard)
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = self._open(shard, view)
        return file.batch(index), file.where(index)

    def _open(self, shard: int, view: View | None) -> ArrowFile:
        entry = (self._base if view is None else view.splits[self.name])[shard].file
        manifest = self.dataset.manifest
        expected = schema.base_schema(manifest.kept_columns) if view is None else schema.view_schema(view.types)
        return ArrowFile(self.dataset.folder, entry, expected, self._base[shard].block_documents, random=self.random)


def _remember(cache: OrderedDict[_K, _V], key: _K, value: _V) -> _V:
    cache[key] = value
    if len(cache) > _BLOCKS_KEPT:
        cache.popitem(last=False)
    return value
