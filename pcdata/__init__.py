"""Datasets that hold raw bytes and their compressed views side by side.

>>> import pcdata
>>> dataset = pcdata.build("src/", "shards/", compressors=["zstd", "bpe:vocab_size=4096"])

The names below are the public ones. They are loaded when they are first used: ``import pcdata`` alone loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcdata.lazy import loaded_lazily
from pcdata.version import __version__ as __version__

if TYPE_CHECKING:
    from pcdata.api import add_view, build, drop_view, merge, open, probe, stats, verify
    from pcdata.dataset import Alignment, Dataset, Document, DocumentView, Manifest, Split, Unit, Vocabulary
    from pcdata.errors import PcdataError

_FROM = {
    "pcdata.api": ("add_view", "build", "drop_view", "merge", "open", "probe", "stats", "verify"),
    "pcdata.dataset": ("Alignment", "Dataset", "Document", "DocumentView", "Manifest", "Split", "Unit", "Vocabulary"),
    "pcdata.errors": ("PcdataError",),
}
__all__ = [  # noqa: RUF022 as in _FROM
    "add_view", "build", "drop_view", "merge", "open", "probe", "stats", "verify",
    "Alignment", "Dataset", "Document", "DocumentView", "Manifest", "Split", "Unit", "Vocabulary",
    "PcdataError",
]  # fmt: skip


__getattr__ = loaded_lazily(__name__, _FROM)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
