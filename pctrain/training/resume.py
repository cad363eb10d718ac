"""The state of a run without its tensors, and whether a run may resume with other settings (law 5)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pcdata.dataset import Dataset, ViewIds, Vocabulary
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.names import is_view_name
from pcdata.dataset.typed_json import typed
from pcdata.dataset.vocab import MAX_VIEWS
from pctrain.config import SETTINGS, RunConfig
from pctrain.data.cursor import Cursor
from pctrain.errors import CheckpointError
from pctrain.settings import flat

_VERSION = 6
_READ = (5, _VERSION)
"""5 had earlier names of settings; 4 did not shuffle rows; 3 had settings that no longer exist; 2 had the ids of the
dataset, and whole tensors; 1 knew one dataset."""

_MOST_IDS = 1 << 32


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of one dataset."""

    base: str
    views: dict[str, str]
    """Of the views read, by name."""

    @classmethod
    def of(cls, dataset: Dataset, view_names: Sequence[str]) -> Fingerprints:
        manifest = dataset.manifest
        return cls(manifest.base.fingerprint, {name: manifest.view(name).fingerprint for name in view_names})


@dataclass(frozen=True)
class State:
    """The state of a run, without its tensors."""

    cursor: Cursor
    config: RunConfig
    vocabulary: Vocabulary
    """The ids of all views that the run ever used, as numbered in the model, not in the dataset."""
    datasets: dict[str, Fingerprints]
    """By name, in the order of the cursor."""
    val_bits_per_byte: float | None
    """On the fixed slice of val, at this step; None if it was not measured (a run that was stopped)."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.cursor.step

    @property
    def views(self) -> list[str]:
        """The names of the views whose symbols it was trained on; they are the same in every dataset."""
        superposition, read = self.config.superposition, next(iter(self.datasets.values())).views
        return [name for name in read if name in self.vocabulary.views and name not in superposition.replaced]

    def to_json(self) -> str:
        values = {**asdict(self), "cursor": self.cursor.to_dict(), "config": self.config.to_dict()}
        return json.dumps({"version": _VERSION, **values}, indent=1) + "\n"

    @classmethod
    def from_json(cls, data: bytes) -> State:
        """Raises ``CheckpointError`` for another version, ``ConfigError``, ``DatasetError``, ``ValueError``,
        ``KeyError``, ``TypeError`` or ``AttributeError`` if it is not a state."""
        values = parse_json(data)
        version = values.pop("version", None) if isinstance(values, dict) else None
        if version not in _READ:
            raise CheckpointError(
                f"it has version {version!r}, this pctrain reads {_VERSION}; continue with the pctrain that wrote it, "
                "or start over with --restart"
            )
        cursor, config = Cursor.from_dict(values.pop("cursor")), RunConfig.from_dict(values.pop("config"))
        datasets = {name: typed(Fingerprints, prints, "datasets") for name, prints in values.pop("datasets").items()}
        vocabulary = Vocabulary({name: _ids(name, ids) for name, ids in values.pop("vocabulary")["views"].items()})
        bits = values["val_bits_per_byte"]
        if not datasets or not (bits is None or (type(bits) in (int, float) and math.isfinite(bits))):
            raise ValueError("no run writes such a state")
        return cls(cursor=cursor, config=config, datasets=datasets, vocabulary=vocabulary, **values)


def _ids(name: str, values: Any) -> ViewIds:
    ids: ViewIds = typed(ViewIds, values, f"vocabulary.{name}")
    if not is_view_name(name) or not 0 <= ids.slot < MAX_VIEWS or not 0 <= ids.first_id <= ids.end_id <= _MOST_IDS:
        raise ValueError(f"view {name!r} cannot have the ids {ids}")
    return ids


def check_resume(state: State, config: RunConfig, datasets: Mapping[str, Dataset]) -> None:
    """Raises ``CheckpointError`` if a setting differs that decides the batches or the weights, and names it.

    Weights, rates, schedule and steps may change; so may the views, if the model has ids for them (``UsedViews``).
    """
    then, now = flat(state.config.to_dict()), flat(config.to_dict())
    for name in {**now, **then}:
        if _is_fixed(name) and then.get(name) != now.get(name):
            raise CheckpointError(
                f"this run was begun with {name} = {then.get(name)!r}, now it is {now.get(name)!r}, which a resume may "
                "not change; give another folder with -o, or --restart to delete this run"
            )
    check_datasets(state, datasets)


def _is_fixed(name: str) -> bool:
    """Whether a resume may not change a setting, or the table that it is in."""
    return SETTINGS[".".join(name.split(".")[:2])].fixed


def check_datasets(state: State, datasets: Mapping[str, Dataset]) -> None:
    """Raises ``CheckpointError`` if these are not the datasets that the checkpoint was trained on.

    If there are several, the cursor relies on the order of their names; a single one may be renamed.
    """
    if len(state.datasets) > 1 and datasets.keys() != state.datasets.keys():
        raise CheckpointError(
            f"the checkpoint was trained on the datasets {', '.join(state.datasets)}, now they are "
            f"{', '.join(datasets)}; give those, under their names"
        )
    if len(state.datasets) != len(datasets):
        raise CheckpointError(
            f"the checkpoint was trained on one dataset, now there are {len(datasets)} ({', '.join(datasets)}); give "
            "the dataset it was trained on"
        )
    for prints, dataset in zip(state.datasets.values(), datasets.values(), strict=True):
        check_prints(prints, dataset)


def check_prints(prints: Fingerprints, dataset: Dataset) -> None:
    """Raises ``CheckpointError`` if this is not the dataset with these fingerprints."""
    manifest, where = dataset.manifest, dataset.folder
    present = {view.name: view.fingerprint for view in manifest.views}
    if manifest.base.fingerprint != prints.base:
        raise CheckpointError(
            f"{where} is another dataset than the checkpoint's: base fingerprint {manifest.base.fingerprint}, "
            f"trained on {prints.base}; give the dataset it was trained on"
        )
    for name, fingerprint in prints.views.items():
        if present.get(name) != fingerprint:
            found = f"has fingerprint {present[name]}" if name in present else "is missing"
            raise CheckpointError(
                f"view {name} of {where} {found}, the checkpoint was trained on {fingerprint}; "
                "give the dataset it was trained on"
            )


def changes(then: RunConfig, now: RunConfig) -> list[str]:
    """What a resume changes, in words."""
    old, new = flat(then.to_dict()), flat(now.to_dict())
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name} {old.get(name)!r} → {new.get(name)!r}" for name in names]
