"""Which documents are val: by a draw, or by a list."""

from __future__ import annotations

from typing import Final

from pcdata.building.options import SplitOptions
from pcdata.dataset.block import Metadata
from pcdata.dataset.identity import SPLIT, doc_id_of, draw

_IN_VAL: Final = 0
_NOT_IN_VAL: Final = 2**64 - 1


def split_draw(options: SplitOptions, document: bytes, metadata: Metadata) -> int:
    """A 64-bit number, below ``val_below`` for documents of val, and the same for documents that belong together
    (``--val-by``). ``document`` is the hash of its content."""
    if options.val_list is not None:
        return _IN_VAL if metadata.path in options.listed_paths else _NOT_IN_VAL
    if options.val_by == "document":
        return draw(document, SPLIT)
    if options.val_by == "source":
        return draw(doc_id_of(metadata.source.encode()), SPLIT)
    folders = metadata.path.split(b"/")[:-1][: options.prefix_folders]
    return draw(doc_id_of(b"/".join(folders)), SPLIT)


def val_below(options: SplitOptions) -> int:
    """The exclusive end of val among the draws."""
    return 1 if options.val_list is not None else int(options.val_fraction * 2**64)
