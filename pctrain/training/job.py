"""Everything that a run is made of: datasets, loader, model, optimizer, as of its last checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcdata.dataset import Dataset, Vocabulary
from pctrain.config import RunConfig, TrainConfig
from pctrain.data.batch import Batch
from pctrain.data.corpus import by_name, shared_views, view_names
from pctrain.data.loader import Loader
from pctrain.data.mixture import Schedule
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.device import choose_device
from pctrain.model.loss import Objective
from pctrain.training import checkpoint
from pctrain.training.checkpoint import Prints, State
from pctrain.training.distributed import World, shard
from pctrain.training.optim import make_optimizer


@dataclass(frozen=True)
class Job:
    """A run, ready for step ``first_step``."""

    run: Path
    datasets: dict[str, Dataset]
    """By name."""
    config: RunConfig
    """Resolved: the views are named."""
    changes: list[str]
    """What differs from the settings of the last checkpoint, in words."""
    first_step: int
    n_ids: int
    device: torch.device
    loader: Loader
    model: Decoder
    objective: Objective
    """The model and its loss."""
    optimizer: torch.optim.Optimizer
    world: World

    @classmethod
    def prepare(
        cls, datasets: Dataset | Sequence[Dataset], run: Path, config: RunConfig, world: World | None = None
    ) -> Job:
        """A new run, or that in ``run`` as of its last checkpoint. Raises ``CheckpointError`` if it does not fit."""
        named = by_name([datasets] if isinstance(datasets, Dataset) else datasets)
        settings, config = config.train, with_views(config, [*named.values()])
        folder = next(reversed(checkpoint.checkpoints(run)), None)
        last = checkpoint.load_state(folder) if folder else None
        if last:
            checkpoint.check_resume(last, config, named, used_views(config))
        n_ids = last.n_ids if last else vocabulary_of(config, [*named.values()]).padded_size
        splits = [dataset.split("train") for dataset in named.values()]
        cursor = last.cursor if last else None
        world = world or World(device=choose_device(settings.device))
        loader = Loader(
            splits,
            config.data,
            config.mixture,
            steps=settings.steps,
            seed=settings.seed,
            rank=world.rank,
            world_size=world.size,
            cursor=cursor,
        )
        model = Decoder(config.model, n_ids).to(world.device)
        if folder:
            checkpoint.load_model(folder, model)
        else:
            init_weights(model, settings.seed)
        objective = _objective(model, named, loader.view_names, settings)
        shard(objective, world, settings.replicas)
        optimizer = make_optimizer(model, settings)
        if folder:
            checkpoint.load_optimizer(folder, model, optimizer)
        step = last.step if last else 0
        changes = checkpoint.changes(last.config, config) if last else []
        return cls(run, named, config, changes, step, n_ids, world.device, loader, model, objective, optimizer, world)

    def state(self, done: int, batch: Batch, bits_per_byte: float | None) -> State:
        """Where the run stands after ``batch``."""
        names = self.loader.view_names if used_views(self.config) else []
        prints = {name: Prints.of(dataset, names) for name, dataset in self.datasets.items()}
        return State(done, batch.cursor, self.config, self.n_ids, prints, bits_per_byte)

    def description(self) -> dict[str, Any]:
        """For a line of kind ``start``."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return {
            "config": self.config.to_dict(),
            "parameters": parameters,
            "n_ids": self.n_ids,
            "device": str(self.device),
            "torch": torch.__version__,
        }


def _objective(model: Decoder, datasets: dict[str, Dataset], names: list[str], settings: TrainConfig) -> Objective:
    """The model as the settings want it to run, and its loss."""
    model.recompute = settings.activation_checkpointing
    if settings.compile:
        for layer in model.layers:
            layer.compile()
    vocabulary = next(iter(datasets.values())).vocabulary  # all have the same ids
    ranges = [vocabulary.views[name] for name in names]
    return Objective(model, [(ids.first_id, ids.end_id) for ids in ranges], settings.softmax)


def with_views(config: RunConfig, datasets: Sequence[Dataset]) -> RunConfig:
    """The settings with the views named, so that a view added later does not change a run that goes on."""
    views = config.data.views or dict.fromkeys(view_names(datasets), 1.0)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, views=views))


def used_views(config: RunConfig) -> list[str]:
    """The views that the model learns; none where all is shown raw."""
    raw_only = set(Schedule(config.mixture, config.train.steps).modes) == {"raw"}
    return [] if raw_only else list(config.data.views)


def vocabulary_of(config: RunConfig, datasets: Sequence[Dataset]) -> Vocabulary:
    """The ids that a model needs: the raw ones, and those of the views it learns, which all datasets share."""
    used = used_views(config)
    return Vocabulary({name: view.view_ids for name, view in shared_views(datasets, used).items() if name in used})
