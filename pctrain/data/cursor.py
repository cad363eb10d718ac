"""The position of a run in its data: all that a resume needs to make the next batch.

Batches draw their rows from a window of the stream of rows (``shuffle``). The window is not saved: it is laid out again
from its first position in the stream, with the settings that it was first laid out with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pcdata.dataset.typed_json import typed
from pcdata.errors import DatasetError
from pctrain.config import MixtureConfig, RunConfig
from pctrain.data.mixture import Arrangement
from pctrain.errors import CheckpointError, ConfigError

_VERSION = 4
_READ = (3, _VERSION)
"""3 had other words for arrangements; 2 did not shuffle rows; 1 had one dataset, and no arrangement but pairs."""

_MOST = 1 << 53
"""Above every count that a cursor can have."""
_LONGEST_SHOWN = 200


@dataclass(frozen=True)
class StreamPlace:
    """A place in the stream of documents, between two rows."""

    draws: tuple[int, ...] = ()
    """Documents drawn so far from each dataset, over all its epochs, without the one in progress. Empty at the very
    beginning."""
    offset_symbols: int = 0
    """How much of the document in progress was used: raw bytes if it appears raw alone, symbols of all its stretches if
    it is spliced, otherwise symbols of its compressed view."""
    dataset: int = 0
    """The dataset of the document in progress, in the order of names."""
    arrangement: str | None = None
    """Its ``Arrangement``; None if no document is in progress."""
    views: tuple[str | None, ...] = ()
    """The views it appears in, in order; None stands for raw."""
    splicing: tuple[float, int] | None = None
    """As in ``Appearance``."""

    @property
    def draw(self) -> int:
        """Documents drawn so far, over all datasets."""
        return sum(self.draws)

    def is_sound(self) -> bool:
        """Whether a stream can have this position: values from a file may be anything."""
        if not all(map(_is_count, (*self.draws, self.offset_symbols, self.dataset))):
            return False
        if self.arrangement is None:
            return self == StreamPlace(self.draws)
        if not self.offset_symbols or self.dataset >= len(self.draws) or self.arrangement not in set(Arrangement):
            return False
        single = self.arrangement == Arrangement.SINGLE
        if len(self.views) != 2 - single or (not single and self.views.count(None) != 1):
            return False
        if self.splicing is None:
            return self.arrangement != Arrangement.SPLICE
        share, mean_bytes = self.splicing
        return self.arrangement == Arrangement.SPLICE and 0 <= share <= 1 and 0 < mean_bytes < _MOST


@dataclass(frozen=True)
class StreamSettings:
    """The settings that a resume may change and that decide how the next documents are drawn and appear."""

    mixture: MixtureConfig
    steps: int
    """Of the whole run; the schedule of ``mixture`` depends on it."""
    views: dict[str, float]
    """The weight of each compressed view in use."""
    weights: dict[str, float]
    """The weight of each dataset."""

    def is_sound(self) -> bool:
        """As ``StreamPlace.is_sound``."""
        return 0 < self.steps < _MOST and all(weight > 0 for weight in (*self.views.values(), *self.weights.values()))


@dataclass(frozen=True)
class Cursor:
    """A position between two batches."""

    step: int = 0
    """Batches made so far: the optimizer step that the next one is for."""
    window_step: int = 0
    """The step of the first batch of the window in progress; ``step`` if there is none."""
    place: StreamPlace = field(default_factory=StreamPlace)
    """Where the first row of that window begins, or that of the next one."""
    settings: StreamSettings | None = None
    """Those of the window in progress, which keeps them whatever a resume changes; None if there is none."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"version": _VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cursor:
        """Raises ``CheckpointError`` for another version, or for values that no cursor has."""
        version = values.get("version")
        if version not in _READ:
            raise CheckpointError(
                f"the checkpoint's data cursor has version {version!r}, this pctrain reads {_VERSION}; "
                "continue with the pctrain that wrote it"
            )
        try:
            cursor: Cursor | None = typed(cls, _current(values))
        except (AttributeError, TypeError, KeyError, ConfigError, DatasetError):
            cursor = None
        if cursor is None or not cursor._is_sound():
            shown = repr(dict(values))[:_LONGEST_SHOWN]
            raise CheckpointError(f"the checkpoint's data cursor is damaged: {shown}; use an older checkpoint")
        return cursor

    def _is_sound(self) -> bool:
        if not (_is_count(self.step) and _is_count(self.window_step) and self.place.is_sound()):
            return False
        if self.settings is None:
            return self.step == self.window_step
        return self.window_step < self.step and self.settings.is_sound()


def _current(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under the names of today. Raises as one does who takes them for what they should be."""
    place, settings = dict(values["place"]), values["settings"]
    if "how" in place:  # in version 3
        how = place.pop("how")
        place["arrangement"] = "single" if how == "alone" else how
    if settings is not None:
        mixture = RunConfig.from_dict({"mixture": settings["mixture"]}).to_dict()["mixture"]
        settings = {**settings, "mixture": mixture}
    return {
        **{name: value for name, value in values.items() if name != "version"},
        "place": place,
        "settings": settings,
    }


def _is_count(value: int) -> bool:
    return 0 <= value < _MOST
