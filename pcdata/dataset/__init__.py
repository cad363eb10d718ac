"""The files of a dataset, reading and writing. Needs only pyarrow and numpy.

``FORMAT.md`` beside this file specifies every byte. Start at ``Dataset``.
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
