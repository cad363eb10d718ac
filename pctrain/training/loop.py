"""The training loop: data → step → log → measure → checkpoint.

Step s uses batch s, and gives the weights after s + 1 steps; logs and checkpoints count finished steps. On one CPU
process, a run that was killed and resumed has the same losses as an uninterrupted one, to the last bit. Under
``torchrun`` every process runs the same loop on its own rows; only the first writes and prints.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pcdata.dataset import Dataset
from pctrain.config import RunConfig
from pctrain.data.batch import Batch
from pctrain.data.filter import Filter
from pctrain.data.prefetch import Prefetcher
from pctrain.data.shown_documents import shown_documents
from pctrain.methods.flops import flops_of_steps
from pctrain.methods.make import raw_units
from pctrain.model.device import autocast, choose_device
from pctrain.model.flops import flops_of_step, matmul_flops_per_second
from pctrain.training import checkpoint
from pctrain.training.distributed import gathered, joined
from pctrain.training.explained import explained
from pctrain.training.header import bytes_per_target, header
from pctrain.training.metrics import Losses, MetricsLog, Tally, peak_memory_bytes
from pctrain.training.optim import learning_rate
from pctrain.training.progress import Progress, say
from pctrain.training.run_folder import METRICS, clear, locked, write_settings
from pctrain.training.signals import agreed, stop_signals
from pctrain.training.step import refuse, take_step
from pctrain.training.trainer import Trainer
from pctrain.training.val_slice import ValSlice
from pctrain.training.verification import files_read, read_verified, verified, write_verified


@dataclass(frozen=True)
class Outcome:
    """How a call of ``fit`` ended."""

    step: int
    """Optimizer steps done and saved."""
    signal: signal.Signals | None = None
    """The signal that stopped it, if any."""
    val: dict[str, Any] | None = field(default=None, compare=False)
    """The last measurement on val, if one was made."""


def fit(
    folders: Path | Sequence[Path],
    run: Path,
    config: RunConfig,
    *,
    restart: bool = False,
    verify: bool = True,
    quiet: bool = False,
) -> Outcome:
    """Train until ``config.train.steps`` are done, from the last checkpoint in ``run`` if there is one.

    ``folders`` are those of one dataset or of several, which ``config.data.weights`` refers to by name. ``restart``
    deletes what an earlier run left in the folder. ``verify`` compares each data file with its hash before the first
    step, unless this run has verified it before and it has not changed since. SIGINT and SIGTERM end the call after the
    current step, with a checkpoint; a second one ends the process, except under ``torchrun``. ``quiet`` prints errors
    only. Raises ``PctrainError`` and ``DatasetError``.
    """
    tell = (lambda text: None) if quiet else say
    with (
        ExitStack() as until_parted,
        joined(choose_device(config.runtime.device)) as world,
        locked(run) if world.is_first else nullcontext(),
        explained(config),
    ):
        paths = [folders] if isinstance(folders, Path) else folders
        trainer = Trainer.prepare([Dataset(path) for path in paths], run, config, world, anew=restart)
        if trainer.first_step >= config.train.steps:
            if world.is_first:
                _prune(trainer, set())  # a killed run may not have done this
            tell(
                f"{run} is finished ({trainer.first_step} steps); "
                "extend it with --set train.steps=N, start over with --restart"
            )
            return Outcome(trainer.first_step)
        if trainer.first_step:
            tell("; ".join([f"{run}: resuming from step {trainer.first_step}", *trainer.changes]))
        seals = None
        if verify:
            known = {} if restart else read_verified(run)
            seals = verified(files_read(trainer.datasets, trainer.loader.views.read), known, world, quiet=quiet)
        if world.is_first:
            if restart:
                clear(run)
            write_settings(run, trainer.config, trainer.datasets)
            if seals is not None:
                write_verified(run, seals)
        return train(trainer, quiet, until_parted, verify=verify)


def train(trainer: Trainer, quiet: bool, until_parted: ExitStack, *, verify: bool) -> Outcome:
    """The loop itself. ``until_parted`` closes after the process group has; until then, a repeated signal still has its
    handler."""
    config, steps = trainer.config, trainer.config.train.steps
    splits = [dataset.split("val") for dataset in trainer.datasets.values()]
    data, runtime = config.data, config.runtime
    rows_at_once, units = runtime.micro_rows or data.rows, raw_units(config)
    val = ValSlice(splits, config.eval.bytes, data.seq_len, rows_at_once, Filter(data.where), units)
    model, n_ids = trainer.model, trainer.loader.vocabulary.padded_size
    peak = runtime.peak_flops or matmul_flops_per_second(trainer.device, runtime.dtype)

    def flops(steps: int, symbols_by_view: Mapping[str, int], compressed_bytes: int) -> int:
        counts = model.counts()
        return flops_of_steps(config, n_ids, steps, symbols_by_view, compressed_bytes, counts and counts.entries)

    tally = Tally(trainer.loader.view_names, trainer.loader.dataset_names, flops, peak * trainer.world.size)
    if not quiet:
        for text in header(trainer, flops_of_step(config, n_ids), peak * trainer.world.size, verified=verify):
            say(text)
    bad_steps, measured = 0, None
    said: set[str] = set()
    """Damage of old checkpoints that was already reported."""
    with (
        MetricsLog(trainer.run / METRICS, trainer.first_step, writes=trainer.world.is_first) as log,
        Prefetcher(trainer.loader, steps - trainer.first_step, runtime.prefetch) as batches,
        Progress(trainer.first_step, steps, bytes_per_target(trainer), quiet) as progress,
    ):
        received = until_parted.enter_context(stop_signals(trainer.world))
        log.write("start", trainer.first_step, **trainer.description())
        for step in range(trainer.first_step, steps):
            batch = batches.next_batch()
            rate = learning_rate(step, steps, config.optim)
            losses = take_step(trainer, rate, batch)
            done, stop = step + 1, agreed(received(), trainer.world)
            bad_steps = _count(trainer, tally, log, done, batch, losses, bad_steps)
            speed = tally.speed(batches.wait_seconds)
            progress.step(losses, speed, learnt=not bad_steps)

            save_due = done == steps or done % config.checkpoint.every == 0
            bits_per_byte = None
            if done % config.log.every == 0 or save_due or stop:
                line: dict[str, Any] = {**tally.line(), "lr": rate, "gradient_norm": losses.gradient_norm, **speed}
                counts = trainer.world.summed(model.counts(anew=done % config.log.every == 0 or save_due))
                if counts is not None:
                    line["patches"] = counts._asdict()
                log.write("train", done, **line, peak_memory_bytes=peak_memory_bytes(trainer.device))
            if save_due or (config.eval.every and done % config.eval.every == 0):
                with autocast(trainer.device, runtime.dtype), gathered(trainer.objective):
                    measured = val.measure(trainer.model, trainer.device)
                if said_too := model.notes(done, steps):
                    measured["notes"] = said_too
                bits_per_byte = measured["raw_bits_per_byte"]
                log.write("val", done, **measured)
                progress.measured(done, measured)
            if save_due or stop:
                state = trainer.state(batch, bits_per_byte)
                checkpoint.save(trainer.run, state, trainer.model, trainer.optimizer, trainer.world)
                if trainer.world.is_first:
                    _prune(trainer, said)
            if done % config.log.every == 0 or save_due:
                tally.restart(batches.wait_seconds)
            if stop:
                break
    return Outcome(done, stop if done < steps else None, measured)


def _count(
    trainer: Trainer, tally: Tally, log: MetricsLog, done: int, batch: Batch, losses: Losses, bad_steps: int
) -> int:
    """Add a step to the tally, or report the documents of a bad one. Returns the number of consecutive bad steps;
    ``bad_steps`` is their number before this one."""
    fault = losses.fault(trainer.config.optim)
    if fault is None:
        tally.add(losses, batch.stats)
        return 0
    tally.skip(batch.stats)
    shown = [*shown_documents(trainer.datasets, batch)]
    values = {"loss": losses.mean, "gradient_norm": losses.gradient_norm}
    log.write("bad", done, what=fault, **values, documents=[asdict(one) for one in shown])
    refuse(f"step {done}: {fault}", shown, trainer.config.optim, bad_steps + 1)
    return bad_steps + 1


def _prune(trainer: Trainer, said: set[str]) -> None:
    """Remove older checkpoints. Report damaged ones, which are kept, unless they were ``said`` before."""
    damages = {*checkpoint.prune(trainer.run, trainer.config.checkpoint.keep_last)}
    for damage in sorted(damages - said):
        say(f"{damage}; training continues without it")
    said |= damages
