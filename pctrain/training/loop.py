"""The training loop: data → step → log → measure → checkpoint.

Step s makes the weights after s + 1 steps from batch s; what is logged and saved says how many steps are done. On one
CPU process, a run that was killed and went on has the losses of one that was not, to the last bit. Under ``torchrun``
every process runs the same loop on its own rows; the first writes and speaks.

Legend: R rows, T positions, W the raw bytes and the views.
"""

from __future__ import annotations

import dataclasses
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdata.dataset import Dataset, Vocabulary
from pctrain.config import RunConfig, TrainConfig
from pctrain.data.batch import IGNORE, Batch
from pctrain.data.corpus import by_name, shared_views, view_names
from pctrain.data.filling import NOTHING
from pctrain.data.filter import Filter
from pctrain.data.loader import Loader
from pctrain.data.mixture import Schedule
from pctrain.data.prefetch import Prefetcher
from pctrain.errors import PctrainError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.device import autocast, choose_device
from pctrain.model.flops import flops_per_position
from pctrain.model.loss import Objective
from pctrain.training import checkpoint
from pctrain.training.checkpoint import Prints, State
from pctrain.training.distributed import World, gathered, joined, shard, whole
from pctrain.training.metrics import Losses, MetricsLog, Tally, ValSlice, peak_memory_bytes
from pctrain.training.optim import learning_rate, make_optimizer, set_learning_rate
from pctrain.training.progress import Progress, say
from pctrain.training.run import METRICS, clear, locked, write_settings

_MOST_BAD_STEPS = 10
"""In a row: then it is not the documents."""


@dataclass(frozen=True)
class Outcome:
    """How a call of ``fit`` ended."""

    step: int
    """Optimizer steps done and saved."""
    signal: signal.Signals | None = None
    """What told it to stop, if something did."""


def fit(
    folders: Path | Sequence[Path], run: Path, config: RunConfig, *, restart: bool = False, quiet: bool = False
) -> Outcome:
    """Train until ``config.train.steps`` are done, from the last checkpoint in ``run`` if there is one.

    ``folders`` are those of one dataset or of several, which ``config.data.weights`` tells apart by their names.
    ``restart`` throws away what an earlier run left in the folder. SIGINT and SIGTERM end the call after the step in
    progress, with a checkpoint; a second one ends the process. Raises ``PctrainError`` and ``DatasetError``.
    """
    with joined(choose_device(config.train.device)) as world, locked(run) if world.is_first else nullcontext():
        if restart and world.is_first:
            clear(run)
        world.wait()
        paths = [folders] if isinstance(folders, Path) else folders
        job = Job.prepare([Dataset(path) for path in paths], run, config, world)
        if job.first_step >= config.train.steps:
            say(f"{run} is finished ({job.first_step} steps); more with --set train.steps=N, anew with --restart")
            return Outcome(job.first_step)
        if job.first_step:
            say(f"{run}: going on from step {job.first_step}" + "".join(f"; {change}" for change in job.changes))
        if world.is_first:
            write_settings(run, job.config, job.datasets)
        return train(job, quiet)


def train(job: Job, quiet: bool) -> Outcome:
    """The loop itself."""
    settings, data = job.config.train, job.config.data
    splits = [dataset.split("val") for dataset in job.datasets.values()]
    val = ValSlice(splits, settings.eval_bytes, data.seq_len, settings.micro_rows or data.rows, Filter(data.where))
    positions = data.rows * data.seq_len
    flops = positions * flops_per_position(job.config.model, job.n_ids, data.seq_len)
    tally = Tally(job.loader.view_names, job.loader.dataset_names, positions, flops)
    bad_steps = 0
    with (
        MetricsLog(job.run / METRICS, job.first_step, writes=job.world.is_first) as log,
        Prefetcher(job.loader, range(job.first_step, settings.steps), data.prefetch) as batches,
        Progress(job.first_step, settings.steps, quiet) as progress,
        stop_signals() as received,
    ):
        log.write("start", job.first_step, **job.description())
        for step in range(job.first_step, settings.steps):
            batch = batches.batch(step)
            rate = learning_rate(step, settings)
            losses = job.step(rate, batch)
            done, stop = step + 1, agreed(received(), job.world)
            fault = losses.fault(settings.largest_norm)
            bad_steps = bad_steps + 1 if fault else 0
            if fault is None:
                tally.add(losses, batch.stats)
            else:
                tally.skip(batch.stats)
                log.write("bad", done, what=fault, documents=documents_of(batch), gradient_norm=losses.gradient_norm)
                refuse(step, fault, batch, settings, bad_steps)
            speed = tally.speed(batches.wait_seconds)
            progress.step(losses.nats / losses.targets, speed)

            save_due = done == settings.steps or done % settings.checkpoint_every == 0
            bits_per_byte = None
            if done % settings.log_every == 0 or save_due or stop:
                peak = peak_memory_bytes(job.device)
                line = {**tally.line(), "lr": rate, "gradient_norm": losses.gradient_norm, **speed}
                log.write("train", done, **line, peak_memory_bytes=peak)
            if save_due or (settings.eval_every and done % settings.eval_every == 0):
                with autocast(job.device, settings.dtype), gathered(job.objective):
                    measured = val.values(val.score(job.model, job.device))
                bits_per_byte = measured["raw_bits_per_byte"]
                log.write("val", done, **measured)
                progress.measured(done, bits_per_byte)
            if save_due or stop:
                state, first = job.state(done, batch, bits_per_byte), job.world.is_first
                checkpoint.save(job.run, state, job.model, job.optimizer, writes=first)
                if first:
                    checkpoint.prune(job.run, settings.keep_last)
            if done % settings.log_every == 0 or save_due:
                tally.restart(batches.wait_seconds)
            if stop:
                break
    return Outcome(done, stop if done < settings.steps else None)


@dataclass(frozen=True)
class Job:
    """Everything that a run is made of, ready for step ``first_step``."""

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

    def step(self, rate: float, batch: Batch) -> Losses:
        """One optimizer step, unless its losses have a fault: then the weights stay as they were."""
        set_learning_rate(self.optimizer, rate)
        losses = gradients(self, batch)
        if losses.fault(self.config.train.largest_norm) is None:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return losses

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


def documents_of(batch: Batch) -> list[int]:
    """The draws of the documents that begin in a batch: the first, and the end (exclusive). One that began before may
    go on in it."""
    end = batch.cursor.draw + (batch.cursor.how is not None)
    return [end - batch.stats.documents - batch.stats.passed_over, end]


def refuse(step: int, fault: str, batch: Batch, settings: TrainConfig, in_a_row: int) -> None:
    """Say that a step was skipped. Raises ``PctrainError`` if the settings say to stop, or too many were."""
    first, end = documents_of(batch)
    where = f"step {step}: {fault} (documents {first} … {end - 1} of the stream)"
    if settings.bad_step == "stop" or in_a_row == _MOST_BAD_STEPS:
        raise PctrainError(f"{where}; lower train.lr and run again, it goes on from the last checkpoint")
    say(f"{where}; nothing is learnt from it")


def gradients(job: Job, batch: Batch) -> Losses:
    """Add the gradient of the mean loss over all targets of the global batch, in pieces of ``micro_rows``; clip its
    norm. Of several processes each brings its rows; all have the same result."""
    settings, world = job.config.train, job.world
    n_views = len(job.loader.view_names)
    targets = max(1, int(world.sum(np.array([(batch.targets_RT != IGNORE).sum()]))[0]))
    nats = 0.0
    nats_W, targets_W = torch.zeros(n_views + 1), torch.zeros(n_views + 1)
    for rows in micro_batches(batch, settings, -(-job.config.data.rows // world.size)):
        with autocast(job.device, settings.dtype):
            sums = job.objective(*(tensor.to(job.device) for tensor in rows))
        # FSDP takes the mean over processes, the loss is a sum over them.
        (sums.nats / targets * world.size).backward()
        nats += sums.nats.item()
        nats_W += sums.nats_W.cpu()
        targets_W += sums.targets_W.cpu()
    norm = whole(torch.nn.utils.clip_grad_norm_(job.model.parameters(), settings.clip or math.inf))
    summed = world.sum(np.concatenate([[nats], nats_W.double().numpy(), targets_W.double().numpy()]))
    nats_W, targets_W = torch.from_numpy(summed[1:]).chunk(2)
    return Losses(float(summed[0]), targets, nats_W, targets_W, norm.item())


def micro_batches(batch: Batch, settings: TrainConfig, n_rows: int) -> Iterator[tuple[Tensor, ...]]:
    """The batch's arrays in pieces of ``micro_rows``, in the order in which ``Objective`` wants them.

    Filled up with empty rows to ``n_rows``: processes that share weights must all make as many forward passes.
    """
    arrays: list[NDArray[Any]] = [
        batch.inputs_RT,
        batch.targets_RT,
        batch.positions_RT,
        batch.samples_RT,
        batch.target_views_RT,
    ]
    missing = n_rows - len(batch.inputs_RT)
    tensors = [
        torch.from_numpy(np.pad(array, ((0, missing), (0, 0)), constant_values=nothing) if missing else array)
        for array, nothing in zip(arrays, NOTHING, strict=True)
    ]
    return zip(*(torch.split(tensor, settings.micro_rows or n_rows) for tensor in tensors), strict=True)


def agreed(received: signal.Signals | None, world: World) -> signal.Signals | None:
    """The signal that any of the processes got, so that all of them stop after the same step."""
    number = world.largest(received or 0)
    return signal.Signals(number) if number else None


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


@contextmanager
def stop_signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """Inside, the first SIGINT or SIGTERM is remembered, to be asked for; the second does what it always did."""
    received: list[signal.Signals] = []
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for each, handler in previous.items():
            signal.signal(each, handler)

    for number in previous:
        signal.signal(number, remember)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
