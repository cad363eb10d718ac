"""Checkpoints: a folder per step, there whole or not at all.

``run/checkpoints/step-00000200/`` holds ``state.json`` (everything that is not a tensor), ``model.pt`` and
``optimizer.pt`` (tensors by parameter name, read without unpickling code), and ``SHA256SUMS`` of the three, as
``sha256sum -c`` reads it: torch does not check what it loads. It is written under a temporary name, synced and renamed.
No pointer says which is the last or the best: the names and the states do.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcdata.dataset import Dataset
from pctrain.config import RunConfig
from pctrain.data.batch import Cursor
from pctrain.data.corpus import shared_views
from pctrain.errors import CheckpointError
from pctrain.training.distributed import shared_like, whole

_VERSION = 2
"""1 knew one dataset."""
_TEMPORARY = ".tmp"
_STATE, _MODEL, _OPTIMIZER = "state.json", "model.pt", "optimizer.pt"
_SUMS = "SHA256SUMS"

FROZEN = ("data.seq_len", "data.rows", "data.window_blocks", "data.where", "model", "train.seed")
"""Settings that decide what the weights and the cursor mean; a resume with others is refused."""


@dataclass(frozen=True)
class Prints:
    """The fingerprints of one dataset."""

    base: str
    views: dict[str, str]
    """Of the views trained on, by name."""

    @classmethod
    def of(cls, dataset: Dataset, view_names: Sequence[str]) -> Prints:
        manifest = dataset.manifest
        return cls(manifest.base.fingerprint, {name: manifest.view(name).fingerprint for name in view_names})


@dataclass(frozen=True)
class State:
    """Where a run stands, but for its tensors."""

    step: int
    """Optimizer steps done."""
    cursor: Cursor
    config: RunConfig
    n_ids: int
    """Rows of the embedding."""
    datasets: dict[str, Prints]
    """By name, in the order of the cursor."""
    val_bits_per_byte: float | None
    """On the fixed slice of val, at this step; None if it was not measured (a run that was told to stop)."""

    @property
    def views(self) -> list[str]:
        """The names of the views trained on; they are the same in every dataset."""
        return [*next(iter(self.datasets.values())).views]

    def to_json(self) -> str:
        values = {**asdict(self), "cursor": self.cursor.to_dict(), "config": self.config.to_dict()}
        return json.dumps({"version": _VERSION, **values}, indent=1) + "\n"


def save(run: Path, state: State, model: nn.Module, optimizer: torch.optim.Optimizer, *, writes: bool = True) -> Path:
    """Write a checkpoint; when this returns it is on the disk, and older ones may go.

    Of several processes all call this, to hand over their shards, and one ``writes``.
    """
    weights = {name: whole(tensor) for name, tensor in model.state_dict().items()}
    averages = {
        name: {key: whole(tensor) for key, tensor in tensors.items()}
        for name, tensors in _optimizer_tensors(model, optimizer).items()
    }
    folder = run / "checkpoints" / f"step-{state.step:08d}"
    if not writes:
        return folder
    temporary = folder.with_name(folder.name + _TEMPORARY)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    torch.save(weights, temporary / _MODEL)
    torch.save(averages, temporary / _OPTIMIZER)
    (temporary / _STATE).write_text(state.to_json(), encoding="utf-8")
    sums = [f"{_sum(temporary / name)}  {name}\n" for name in (_STATE, _MODEL, _OPTIMIZER)]
    (temporary / _SUMS).write_text("".join(sums), encoding="utf-8")
    for path in (*temporary.iterdir(), temporary):
        _sync(path)
    if folder.exists():
        shutil.rmtree(folder)
    temporary.rename(folder)
    _sync(folder.parent)
    return folder


def prune(run: Path, keep_last: int) -> None:
    """Remove checkpoints that are neither among the last few nor the best, and what a kill left half written."""
    kept = {*checkpoints(run)[-keep_last:], best(run)}
    for folder in (run / "checkpoints").iterdir():
        if folder.name.startswith("step-") and folder not in kept:
            shutil.rmtree(folder)


def checkpoints(run: Path) -> list[Path]:
    """All complete checkpoints of a run, the oldest first."""
    found = (run / "checkpoints").glob("step-*")
    return sorted(folder for folder in found if folder.name.removeprefix("step-").isdigit())


def best(run: Path) -> Path | None:
    """The checkpoint with the fewest bits per byte on the slice of val; None if none was measured."""
    measured = [
        (bits, folder) for folder in checkpoints(run) if (bits := load_state(folder).val_bits_per_byte) is not None
    ]
    return min(measured)[1] if measured else None


def choose(run: Path, which: str) -> Path:
    """``last``, ``best`` or a step. Raises ``CheckpointError`` with what there is."""
    there = checkpoints(run)
    if not there:
        raise CheckpointError(f"{run} has no checkpoint; run pctrain fit first")
    if which == "last":
        return there[-1]
    if which == "best":
        return best(run) or there[-1]
    for folder in there:
        if which.isdigit() and folder.name == f"step-{int(which):08d}":
            return folder
    steps = ", ".join(str(int(folder.name.removeprefix("step-"))) for folder in there)
    raise CheckpointError(f"{run} has no checkpoint {which!r}; it has last, best and those of steps {steps}")


def load_state(folder: Path) -> State:
    """Raises ``CheckpointError`` if the state is missing, damaged or of another version."""
    path = _checked(folder / _STATE)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    version = values.pop("version", None) if isinstance(values, dict) else None
    if version != _VERSION:
        raise CheckpointError(
            f"{path} has version {version!r}, this pctrain reads {_VERSION}; continue with the pctrain that wrote it"
        )
    cursor, config, datasets = (values.pop(name, {}) for name in ("cursor", "config", "datasets"))
    try:
        prints = {name: Prints(**dataset) for name, dataset in datasets.items()}
        return State(cursor=Cursor.from_dict(cursor), config=RunConfig.from_dict(config), datasets=prints, **values)
    except (TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def load_model(folder: Path, model: nn.Module) -> None:
    """Fill in the weights. Raises ``CheckpointError`` if the file is damaged or of another model."""
    tensors = _load_tensors(folder / _MODEL, model)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{folder / _MODEL} belongs to another model: {' '.join(str(error).split())}") from error


def load_optimizer(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Fill in AdamW's averages and step counts; its rates and decays stay those of the present settings."""
    path = folder / _OPTIMIZER
    tensors = _load_tensors(path, model)
    names = {parameter: name for name, parameter in model.named_parameters()}
    if tensors.keys() != set(names.values()):
        raise CheckpointError(f"{path} belongs to another model: its parameters have other names")
    for parameter, name in names.items():
        if tensors[name]["exp_avg"].shape != parameter.shape:
            raise CheckpointError(f"{path} belongs to another model: {name} has another shape")
        optimizer.state[parameter] = {
            key: tensor if key == "step" else shared_like(tensor, parameter) for key, tensor in tensors[name].items()
        }


def check_resume(state: State, config: RunConfig, datasets: Mapping[str, Dataset], view_names: list[str]) -> None:
    """Law 5: what decides the batches and the weights must be what it was. The message names the field that differs.

    Weights and rates, schedule and steps are free; so are the views used, as far as their ids fit the model.
    """
    then, now = _flat(state.config.to_dict()), _flat(config.to_dict())
    for name in (name for name in {**now, **then} if name.startswith(FROZEN)):
        if then.get(name) != now.get(name):
            raise CheckpointError(
                f"this run was begun with {name} = {then.get(name)!r}, now it is {now.get(name)!r}, which a resume may "
                "not change; give another folder with -o, or --restart to throw this run away"
            )
    check_datasets(state, datasets)
    for name, view in shared_views([*datasets.values()], view_names).items() if view_names else ():
        if view.view_ids.end_id > state.n_ids:
            raise CheckpointError(
                f"the model of this run has {state.n_ids} ids, view {name} (data.views, mixture) needs "
                f"{view.view_ids.end_id}; begin a new run for it with -o"
            )


def check_datasets(state: State, datasets: Mapping[str, Dataset]) -> None:
    """Raises ``CheckpointError`` if these are not the datasets that the checkpoint was trained on.

    Where there are several, the order of their names is that of the cursor; one alone may have been renamed.
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


def check_prints(prints: Prints, dataset: Dataset) -> None:
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
    old, new = _flat(then.to_dict()), _flat(now.to_dict())
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name} {old.get(name)!r} → {new.get(name)!r}" for name in names]


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    return {name: dict(optimizer.state[parameter]) for name, parameter in model.named_parameters()}


def _load_tensors(path: Path, model: nn.Module) -> dict[str, Any]:
    device = next(model.parameters()).device
    try:
        tensors: dict[str, Any] = torch.load(_checked(path), map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise _damaged(path, error) from error
    return tensors


def _checked(path: Path) -> Path:
    """The same path. Raises ``CheckpointError`` unless the file is the one that the checkpoint's sums name."""
    try:
        lines = (path.parent / _SUMS).read_text(encoding="utf-8").split("\n")
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        intact = sums.get(path.name) == _sum(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not intact:
        raise _damaged(path, ValueError(f"its hash is not the one in {_SUMS}"))
    return path


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:120]
    return CheckpointError(f"{path} cannot be read ({reason}); remove {path.parent} to go back to the one before")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
