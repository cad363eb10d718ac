"""What lies on disk, and reading it. Needs pyarrow and numpy alone.

``FORMAT.md`` beside this file is the byte-level text. Start at ``Dataset``.
"""

from pcdata.dataset.alignment import Alignment
from pcdata.dataset.document import Document, DocumentView, Unit
from pcdata.dataset.manifest import Manifest
from pcdata.dataset.reader import Dataset, Split
from pcdata.dataset.vocab import ViewIds, Vocabulary
from pcdata.errors import DatasetError

__all__ = [
    "Alignment",
    "Dataset",
    "DatasetError",
    "Document",
    "DocumentView",
    "Manifest",
    "Split",
    "Unit",
    "ViewIds",
    "Vocabulary",
]
