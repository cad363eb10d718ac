"""The error for a folder that holds something else: how it differs from the request, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pcdata.codecs.requests import ViewRequest, request_text
from pcdata.dataset.typed_json import typed
from pcdata.errors import BuildError, DatasetError

VIEWS: Final = "compressors"
"""The key of a dataset's views among its options."""


@dataclass(frozen=True)
class _View:
    """A view in a dataset's options, which may come from a stranger."""

    name: str
    codec: str
    ids: str
    parameters: dict[str, Any]
    artifact: str | None


def refuse_other(found: dict[str, Any], asked: dict[str, Any], what: str, then: str) -> None:
    """Raises ``BuildError`` if any option differs. ``what`` describes the folder, ``then`` says what to do."""
    for key in sorted(found.keys() | asked.keys()):
        if found.get(key) == asked.get(key):
            continue
        if key == "inputs_digest":
            raise BuildError(f"{what}, and the input files have changed since; {then}")
        if key == VIEWS and (views := _in_words(found.get(key))) is not None:
            raise BuildError(f"{what} with {views}, and you asked for {_in_words(asked.get(key))}; {then}")
        raise BuildError(f"{what} with other {key}: {found.get(key)!r}, now {asked.get(key)!r}; {then}")


def change_of_views(output: Path, requests: Sequence[ViewRequest], found: Any, asked: list[dict[str, Any]]) -> str:
    """What to do if a dataset differs from the request only in its views."""
    if not isinstance(found, list) or any(view not in asked for view in found):
        return "change its views with pcdata add-view and drop-view"
    new = [str(request) for request, view in zip(requests, asked, strict=True) if view not in found]
    words = ["pcdata", "add-view", str(output), *(word for text in new for word in ("--compressor", text))]
    return f"add what is missing with {shlex.join(words)}" if new else "leave it as it is"


def _in_words(views: Any) -> str | None:
    """Views as one would request them; None if these are not views."""
    try:
        texts = [request_text(**vars(view)) for view in typed(tuple[_View, ...], views)]
    except DatasetError:
        return None
    if not texts:
        return "no views"
    *others, last = texts
    return f"the views {', '.join(others)} and {last}" if others else f"the view {last}"
