"""The parts of a run: datasets, loader, model, optimizer, as of its last checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcdata.dataset import Dataset
from pctrain.config import ModelConfig, RunConfig
from pctrain.data.batch import Batch
from pctrain.data.datasets import by_name, view_names
from pctrain.data.loader import Loader
from pctrain.data.schedule import Schedule
from pctrain.errors import ConfigError
from pctrain.methods.make import make_model, parameters_of_methods, suffixes_wanted, units_wanted
from pctrain.model.attention import flex_fits
from pctrain.model.decoder import LanguageModel, init_weights
from pctrain.model.device import choose_device
from pctrain.model.kinds import check_views, is_flexible
from pctrain.model.loss import Objective
from pctrain.model.memory import Memory, check_fits, free_bytes, memory_of_step
from pctrain.training import checkpoint
from pctrain.training.distributed import World, shard
from pctrain.training.optim import make_optimizer
from pctrain.training.resume import Fingerprints, State, changes, check_resume


@dataclass(frozen=True)
class Trainer:
    """A run, ready for step ``first_step``."""

    run: Path
    datasets: dict[str, Dataset]
    """By name."""
    config: RunConfig
    """Resolved: the views are named."""
    changes: list[str]
    """Differences from the settings of the last checkpoint, for messages."""
    first_step: int
    device: torch.device
    loader: Loader
    model: LanguageModel
    objective: Objective
    """The model and its loss."""
    optimizer: torch.optim.Optimizer
    world: World
    memory: Memory
    """The estimated memory of a step."""
    free_bytes: int | None
    """Free memory for this process before the model was made; None if the system does not say."""

    @classmethod
    def prepare(
        cls,
        datasets: Dataset | Sequence[Dataset],
        run: Path,
        config: RunConfig,
        world: World | None = None,
        *,
        anew: bool = False,
    ) -> Trainer:
        """The run in ``run`` as of its last checkpoint; a new one if there is none, or if ``anew``.

        Raises ``CheckpointError`` if the checkpoint does not fit, ``ConfigError`` if there is clearly too little
        memory. Nothing is written.
        """
        named = by_name([datasets] if isinstance(datasets, Dataset) else datasets)
        config = with_views(config, [*named.values()])
        check_views(config, [*named.values()])
        folder = None if anew else next(reversed(checkpoint.checkpoints(run)), None)
        last = checkpoint.load_state(folder) if folder else None
        if last:
            check_resume(last, config, named)
        splits = [dataset.split("train") for dataset in named.values()]
        world = world or World(device=choose_device(config.runtime.device))
        loader = Loader(
            splits,
            config.data,
            config.mixture,
            steps=config.train.steps,
            seed=config.train.seed,
            rank=world.rank,
            world_size=world.size,
            cursor=last.cursor if last else None,
            vocabulary=last.vocabulary if last else None,
            superposition=config.superposition,
            units=units_wanted(config),
            suffixes=suffixes_wanted(config),
        )
        if folder:
            checkpoint.check_shape(folder, config, loader.vocabulary.padded_size)
        memory, free = _memory(config, loader, world)
        model = make_model(config, loader.vocabulary.padded_size).to(world.device)
        if not folder:
            init_weights(model, config.train.seed)
        objective = _objective(model, loader, config, world.device)
        shard(objective, world, config.runtime.replicas)
        optimizer = make_optimizer(model, config.optim)
        if folder:
            checkpoint.load_model(folder, model, world)
            checkpoint.load_optimizer(folder, model, optimizer, world)
        step = last.step if last else 0
        changed = changes(last.config, config) if last else []
        return cls(
            run, named, config, changed, step, world.device, loader, model, objective, optimizer, world, memory, free
        )

    def state(self, batch: Batch, bits_per_byte: float | None) -> State:
        """The state of the run after ``batch``."""
        prints = {name: Fingerprints.of(dataset, self.loader.views.read) for name, dataset in self.datasets.items()}
        return State(batch.cursor, self.config, self.loader.vocabulary, prints, bits_per_byte)

    def description(self) -> dict[str, Any]:
        """For a line of kind ``start``."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return {
            "config": self.config.to_dict(),
            "parameters": parameters,
            "n_ids": self.loader.vocabulary.padded_size,
            "device": str(self.device),
            "torch": torch.__version__,
        }


def _memory(config: RunConfig, loader: Loader, world: World) -> tuple[Memory, int | None]:
    """The memory that a step needs and what is free, before allocation. Raises ``ConfigError`` if it cannot fit."""
    runtime, n_ids = config.runtime, loader.vocabulary.padded_size
    wanted = memory_of_step(
        config,
        n_ids,
        world.device,
        of_methods=parameters_of_methods(config),
        shards=max(1, world.size // runtime.replicas),
        ranks=world.size,
        flex=_wants_flex(runtime.attention, world.device, config.model) and is_flexible(config),
    )
    free = free_bytes(world.device)
    if free is not None and world.device.type == "cpu":
        free //= world.per_machine
    check_fits(wanted, free, config, world.device)
    return wanted, free


def _objective(model: LanguageModel, loader: Loader, config: RunConfig, device: torch.device) -> Objective:
    """The model as the settings want it to run, and its loss."""
    model.recompute = config.runtime.activation_checkpointing
    model.flex = _wants_flex(config.runtime.attention, device, config.model)
    if config.runtime.compile:
        for layer in model.layers:
            layer.compile()
    return Objective(model, [(ids.first_id, ids.end_id) for ids in loader.views.ids], config.train.softmax)


def _wants_flex(attention: str, device: torch.device, model: ModelConfig) -> bool:
    head_width = model.width // model.attention_heads
    fits = flex_fits(device, head_width)
    if attention == "flex" and not fits:
        raise ConfigError(
            f"runtime.attention=flex needs a GPU and heads that are 16, 32, 64 … wide, these are {head_width} on "
            f"{device}; leave it at auto"
        )
    return fits and attention != "sdpa"


def with_views(config: RunConfig, datasets: Sequence[Dataset]) -> RunConfig:
    """The settings with the views named, so that a view added later does not change a resumed run."""
    if Schedule.of(config).raw_only:
        return config
    views = config.data.views or dict.fromkeys(view_names(datasets), 1.0)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, views=views))
