"""The run folder: ``config.json``, ``metrics.jsonl`` and ``checkpoints/``; who may write in it, and reading it back."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcdata.dataset import Dataset, DatasetError
from pctrain.config import RunConfig
from pctrain.errors import CheckpointError, PctrainError
from pctrain.model.decoder import Decoder
from pctrain.training import checkpoint
from pctrain.training.checkpoint import State

_VERSION = 1
CONFIG, METRICS = "config.json", "metrics.jsonl"


@dataclass(frozen=True)
class Settings:
    """What ``config.json`` says."""

    config: RunConfig
    dataset_given: str
    """As typed, relative to the folder that pctrain fit ran in."""
    dataset_resolved: str
    """The same, absolute."""


def write_settings(run: Path, config: RunConfig, dataset: Path) -> None:
    """Replace ``config.json``, whole or not at all."""
    where = {"given": str(dataset), "resolved": str(dataset.resolve())}
    text = json.dumps({"version": _VERSION, "dataset": where, "config": config.to_dict()}, indent=1) + "\n"
    temporary = run / f"{CONFIG}.tmp"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(run / CONFIG)


def read_settings(run: Path) -> Settings:
    """Raises ``CheckpointError`` if ``run`` is not a run folder, or one of another version."""
    path = run / CONFIG
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        version = values["version"]
        if version != _VERSION:
            raise CheckpointError(f"{path} has version {version!r}, this pctrain reads {_VERSION}")
        where = values["dataset"]
        return Settings(RunConfig.from_dict(values["config"]), str(where["given"]), str(where["resolved"]))
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{run} is not a run (it has no {CONFIG}); give the folder that pctrain fit wrote"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}); give pctrain fit --restart to begin anew") from error


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Make the folder, and keep other processes from writing in it. The lock goes with the process, however it ends."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = (run / ".lock").open("w")
    except OSError as error:
        raise PctrainError(f"{run} cannot be written to: {error.strerror}; give another folder with -o") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PctrainError(f"{run} is being written by another pctrain fit; wait, or give another -o") from None
        yield


def clear(run: Path) -> None:
    """Throw away what a run wrote, and nothing else that lies in its folder."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    for name in (CONFIG, METRICS):
        (run / name).unlink(missing_ok=True)


def load_model(run: Path, which: str, device: torch.device) -> tuple[Decoder, State]:
    """A run's model for inference, from its ``last`` or ``best`` checkpoint or that of a step."""
    read_settings(run)
    folder = checkpoint.choose(run, which)
    state = checkpoint.load_state(folder)
    model = Decoder(state.config.model, state.n_ids).to(device).eval()
    checkpoint.load_model(folder, model)
    return model, state


def open_dataset(run: Path, state: State, given: Path | None) -> Dataset:
    """The dataset a checkpoint was trained on: where it lay, or where it lies now. Checked by its fingerprints."""
    settings = read_settings(run)
    places = [given] if given else [Path(settings.dataset_resolved), Path(settings.dataset_given)]
    for place in places:
        if given is None and not place.exists():
            continue
        dataset = Dataset(place)
        checkpoint.check_dataset(state, dataset.manifest)
        return dataset
    raise DatasetError(f"the dataset of {run} is no longer at {places[0]}; say where it is with --data")
