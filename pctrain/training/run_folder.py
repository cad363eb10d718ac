"""The run folder: ``config.json``, ``metrics.jsonl``, ``verified.json`` and ``checkpoints/``; locking and
reading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pcdata.dataset import Dataset, DatasetError
from pcdata.dataset.files import LockFile, remove_temporary, replacing
from pcdata.dataset.json_files import parse_json, rendered_json
from pcdata.dataset.names import regular_file
from pctrain.config import RunConfig
from pctrain.errors import CheckpointError, ConfigError, PctrainError
from pctrain.methods.make import make_model
from pctrain.model.decoder import LanguageModel
from pctrain.training import checkpoint
from pctrain.training.resume import State, check_datasets, check_prints

_VERSION = 4
_READ = (3, _VERSION)
"""3 had earlier names of settings; 2 had settings that are gone, and 1 knew one dataset."""
CONFIG, METRICS, VERIFIED, LOCK = "config.json", "metrics.jsonl", "verified.json", ".lock"

_LONGEST_REASON = 200


@dataclass(frozen=True)
class Place:
    """Where a dataset was."""

    given: str
    """As typed, relative to the folder that pctrain fit ran in."""
    resolved: str
    """The same, absolute."""


@dataclass(frozen=True)
class Settings:
    """What ``config.json`` says."""

    config: RunConfig
    datasets: dict[str, Place]
    """By name."""


def write_settings(run: Path, config: RunConfig, datasets: Mapping[str, Dataset]) -> None:
    """Replace ``config.json``, whole or not at all."""
    places = {name: Place(str(one.folder), str(one.folder.resolve())) for name, one in datasets.items()}
    values = {"datasets": {name: asdict(place) for name, place in places.items()}, "config": config.to_dict()}
    with replacing(run / CONFIG) as file:
        file.write(rendered_json({"version": _VERSION, **values}))


def read_settings(run: Path) -> Settings:
    """Raises ``CheckpointError`` if ``run`` is not a run folder, or one of another version."""
    path = run / CONFIG
    try:
        values: Any = parse_json(regular_file(run, CONFIG).read_bytes())
        version = values["version"]
        if version not in _READ:
            raise CheckpointError(
                f"{path} has version {version!r}, this pctrain reads {_VERSION}; use the pctrain that wrote it"
            )
        places = {
            name: Place(str(place["given"]), str(place["resolved"])) for name, place in values["datasets"].items()
        }
        return Settings(RunConfig.from_dict(values["config"]), places)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{run} is not a run (it has no {CONFIG}); give the folder that pctrain fit wrote"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = repr(error)[:_LONGEST_REASON]
        raise CheckpointError(f"{path} is damaged ({reason}); start over with pctrain fit --restart") from error


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Make the folder, lock out other processes, and remove leftovers of killed ones.

    If nothing was written, the folder is left as it was, or removed if it is new.
    """
    is_new = not run.exists()
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = LockFile(run / LOCK)
    except BlockingIOError as error:
        raise PctrainError(f"{run} is being written by {error}; wait, or give another -o") from None
    except OSError as error:
        raise PctrainError(f"{run} cannot be written to: {error.strerror}; give another folder with -o") from error
    try:
        for name in (CONFIG, METRICS, VERIFIED):
            remove_temporary(run, f"{name}.*")
        checkpoint.remove_unfinished(run)
        yield
    finally:
        is_empty = [path.name for path in run.iterdir()] == [LOCK]
        lock.close(remove=is_empty)
        if is_empty and is_new:
            with suppress(OSError):  # another pctrain fit may have begun there since
                run.rmdir()


def clear(run: Path) -> None:
    """Delete what a run wrote, and nothing else in its folder."""
    checkpoint.clear(run)
    for name in (CONFIG, METRICS, VERIFIED):
        (run / name).unlink(missing_ok=True)


def load_model(run: Path, which: str, device: torch.device) -> tuple[LanguageModel, State]:
    """A run's model for inference, from its ``last`` or ``best`` checkpoint or that of a step."""
    read_settings(run)
    folder = checkpoint.choose(run, which)
    state = checkpoint.load_state(folder)
    checkpoint.check_shape(folder, state.config, state.vocabulary.padded_size)
    model = make_model(state.config, state.vocabulary.padded_size).to(device).eval()
    checkpoint.load_model(folder, model)
    return model, state


def open_datasets(run: Path, state: State) -> dict[str, Dataset]:
    """The datasets a checkpoint was trained on, by name, at their recorded places. Checked by their fingerprints."""
    places = read_settings(run).datasets
    opened: dict[str, Dataset] = {}
    for name, place in places.items():
        folders = [Path(place.resolved), Path(place.given)]
        there = next((folder for folder in folders if folder.exists()), None)
        if there is None:
            raise DatasetError(f"the dataset of {run} is no longer at {folders[0]}; say where it is with --data")
        opened[name] = Dataset(there)
    check_datasets(state, opened)
    return opened


def open_dataset(run: Path, state: State, given: Path | None) -> Dataset:
    """The dataset a checkpoint was trained on, or the one that is ``given``, which may have moved."""
    if given is None:
        datasets = open_datasets(run, state)
        if len(datasets) > 1:
            folders = ", ".join(str(dataset.folder) for dataset in datasets.values())
            raise CheckpointError(f"{run} was trained on several datasets; name one with --data: {folders}")
        return next(iter(datasets.values()))
    dataset = Dataset(given)
    bases = {prints.base: prints for prints in state.datasets.values()}
    prints = bases.get(dataset.manifest.base.fingerprint, next(iter(bases.values())))
    check_prints(prints, dataset)
    return dataset
