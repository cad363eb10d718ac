"""One mapped Arrow file of a dataset, whose form is checked before anything in it is used.

It opens only with the size in the manifest and the columns of the format. A record batch is returned only if it has as
many rows as the manifest says, is not compressed, and its buffers are as long as its lengths require, so that reading
it takes no unexpected memory. The readers (``columns``) check the contents of the buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from pcdata.dataset.ipc_footer import IpcFooter
from pcdata.dataset.manifest import FileEntry
from pcdata.dataset.mapping import map_file, will_need
from pcdata.dataset.names import regular_file
from pcdata.errors import DatasetError, FormatError


class ArrowFile:
    def __init__(
        self,
        folder: Path,
        entry: FileEntry,
        expected: pa.Schema,
        block_documents: Sequence[int],
        *,
        random: bool = False,
    ) -> None:
        """``block_documents``: rows of each record batch, by the manifest. If ``random``, the kernel reads only what is
        touched or requested (``will_need``), otherwise a whole record batch at a time.

        Raises ``DatasetError`` if it is missing, leads out of the folder, or differs from the listed size;
        ``FormatError`` if its form is wrong.
        """
        self._path = str(folder / entry.path)
        self._block_documents = block_documents
        self._random = random
        self._buffer = _mapped(folder, entry, random)
        with _readable(self._path, "it does not open as an Arrow file"):
            self._footer = IpcFooter(self._buffer)
            if self._footer.n_dictionaries:
                raise FormatError(self._path, "it has dictionaries, which no file of a dataset has")
            self._reader = pa.ipc.open_file(self._buffer)
            found = "" if self._reader.schema.equals(expected) else _columns(self._reader.schema)
        if found:
            raise FormatError(self._path, f"its columns are {found}; expected {_columns(expected)}")
        if len(self._footer) != len(block_documents):
            what = f"it has {len(self._footer)} blocks, the manifest says {len(block_documents)}"
            raise FormatError(self._path, what)

    def where(self, number: int) -> str:
        """A record batch's place, for messages."""
        return f"{self._path} block {number}"

    def batch(self, number: int, *, whole: bool = False) -> pa.RecordBatch:
        """Its buffers are those of the file, not copies; ``whole`` checks all their contents. Raises ``FormatError``
        naming the block."""
        where, documents = self.where(number), self._block_documents[number]
        with _readable(where, "it does not parse"):
            frame = self._footer[number]
            if frame.is_compressed:
                raise FormatError(where, "it is compressed, which no file of a dataset is")
            if frame.rows != documents:
                raise FormatError(where, f"it has {frame.rows} documents, the manifest says {documents}")
            if not self._random:
                will_need(np.frombuffer(self._buffer, np.uint8, frame.end - frame.begin, frame.begin))
            batch = self._reader.get_batch(number)
            batch.validate(full=whole)
        return batch


@contextmanager
def _readable(where: str, what: str) -> Iterator[None]:
    """Turn errors caused by the file's content into a ``FormatError``. Lack of memory, descriptors or permission is
    raised unchanged: such errors have a number from the system, which those that Arrow finds in a file do not."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise FormatError(where, f"{what} ({' '.join(str(error).split())})") from error


def _mapped(folder: Path, entry: FileEntry, random: bool) -> pa.Buffer:
    path = folder / entry.path
    try:
        buffer = map_file(regular_file(folder, entry.path), random=random)
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(f"{path} is missing; restore it from a copy or rebuild the dataset") from None
    if buffer.size != entry.bytes:
        raise DatasetError(
            f"{path} has {buffer.size} bytes, the manifest says {entry.bytes}; restore it or rebuild the dataset"
        )
    return buffer


def _columns(shape: pa.Schema) -> str:
    """Names and types; a stranger's may have any length."""
    text = ", ".join(f"{field.name} {field.type}" for field in shape)
    return text if len(text) <= 1_000 else f"{text[:1_000]} …"
