"""The training loop: data → step → log → measure → checkpoint.

Step s makes the weights after s + 1 steps from batch s; what is logged and saved says how many steps are done. On one
CPU process, a run that was killed and went on has the losses of one that was not, to the last bit. Under ``torchrun``
every process runs the same loop on its own rows; the first writes and speaks.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pcdata.dataset import Dataset
from pctrain.config import RunConfig
from pctrain.data.filter import Filter
from pctrain.data.naming import shown_documents
from pctrain.data.prefetch import Prefetcher
from pctrain.model.device import autocast, choose_device
from pctrain.model.flops import flops_of_step, matmul_flops_per_second
from pctrain.training import checkpoint
from pctrain.training.distributed import gathered, joined
from pctrain.training.faults import explained
from pctrain.training.header import bytes_per_target, header
from pctrain.training.job import Job
from pctrain.training.metrics import MetricsLog, Tally, peak_memory_bytes
from pctrain.training.optim import learning_rate
from pctrain.training.progress import Progress, say
from pctrain.training.run import METRICS, clear, locked, write_settings
from pctrain.training.signals import agreed, stop_signals
from pctrain.training.step import refuse, take_step
from pctrain.training.val_slice import ValSlice
from pctrain.training.verification import files_read, read_verified, verified, write_verified


@dataclass(frozen=True)
class Outcome:
    """How a call of ``fit`` ended."""

    step: int
    """Optimizer steps done and saved."""
    signal: signal.Signals | None = None
    """What told it to stop, if something did."""
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

    ``folders`` are those of one dataset or of several, which ``config.data.weights`` tells apart by their names.
    ``restart`` throws away what an earlier run left in the folder; ``verify`` compares each file of data with its hash
    before the first step, unless this run has found it right before and it is as it was then. SIGINT and SIGTERM end
    the call after the step in progress, with a checkpoint; a second one ends the process, but for ``torchrun``'s.
    Raises ``PctrainError`` and ``DatasetError``.
    """
    with (
        ExitStack() as until_parted,
        joined(choose_device(config.train.device)) as world,
        locked(run) if world.is_first else nullcontext(),
        explained(config),
    ):
        paths = [folders] if isinstance(folders, Path) else folders
        job = Job.prepare([Dataset(path) for path in paths], run, config, world, anew=restart)
        if job.first_step >= config.train.steps:
            if world.is_first:
                _prune(job, set())  # one that was killed may not have come to it
            say(f"{run} is finished ({job.first_step} steps); more with --set train.steps=N, anew with --restart")
            return Outcome(job.first_step)
        if job.first_step:
            say(f"{run}: going on from step {job.first_step}" + "".join(f"; {change}" for change in job.changes))
        seals = None
        if verify:
            known = {} if restart else read_verified(run)
            seals = verified(files_read(job.datasets, job.loader.view_names), known, world, quiet=quiet)
        if world.is_first:
            if restart:
                clear(run)
            write_settings(run, job.config, job.datasets)
            if seals is not None:
                write_verified(run, seals)
        return train(job, quiet, until_parted, verify=verify)


def train(job: Job, quiet: bool, until_parted: ExitStack, *, verify: bool) -> Outcome:
    """The loop itself. ``until_parted`` ends when the processes have left each other: until then, a signal that comes
    again finds its handler."""
    settings, data = job.config.train, job.config.data
    splits = [dataset.split("val") for dataset in job.datasets.values()]
    val = ValSlice(splits, settings.eval_bytes, data.seq_len, settings.micro_rows or data.rows, Filter(data.where))
    flops = flops_of_step(job.config, job.loader.vocabulary.padded_size)
    peak = settings.peak_flops or matmul_flops_per_second(job.device, settings.dtype)
    tally = Tally(job.loader.view_names, job.loader.dataset_names, flops, peak * job.world.size)
    if not quiet:
        for text in header(job, flops, peak * job.world.size, verified=verify):
            say(text)
    bad_steps, measured = 0, None
    said: set[str] = set()
    """Of old checkpoints, what was said to be wrong with them."""
    with (
        MetricsLog(job.run / METRICS, job.first_step, writes=job.world.is_first) as log,
        Prefetcher(job.loader, settings.steps - job.first_step, data.prefetch) as batches,
        Progress(job.first_step, settings.steps, bytes_per_target(job), quiet) as progress,
    ):
        received = until_parted.enter_context(stop_signals(job.world))
        log.write("start", job.first_step, **job.description())
        for step in range(job.first_step, settings.steps):
            batch = batches.next_batch()
            rate = learning_rate(step, settings)
            losses = take_step(job, rate, batch)
            done, stop = step + 1, agreed(received(), job.world)
            fault = losses.fault(settings)
            bad_steps = bad_steps + 1 if fault else 0
            if fault is None:
                tally.add(losses, batch.stats)
            else:
                tally.skip(batch.stats)
                shown = [*shown_documents(job.datasets, batch)]
                values = {"loss": losses.mean, "gradient_norm": losses.gradient_norm}
                log.write("bad", done, what=fault, **values, documents=[asdict(one) for one in shown])
                refuse(f"step {done}: {fault}", shown, settings, bad_steps)
            speed = tally.speed(batches.wait_seconds)
            progress.step(losses, speed, learnt=fault is None)

            save_due = done == settings.steps or done % settings.checkpoint_every == 0
            bits_per_byte = None
            if done % settings.log_every == 0 or save_due or stop:
                line = {**tally.line(), "lr": rate, "gradient_norm": losses.gradient_norm, **speed}
                log.write("train", done, **line, peak_memory_bytes=peak_memory_bytes(job.device))
            if save_due or (settings.eval_every and done % settings.eval_every == 0):
                with autocast(job.device, settings.dtype), gathered(job.objective):
                    measured = val.measure(job.model, job.device)
                bits_per_byte = measured["raw_bits_per_byte"]
                log.write("val", done, **measured)
                progress.measured(done, measured)
            if save_due or stop:
                state = job.state(batch, bits_per_byte)
                checkpoint.save(job.run, state, job.model, job.optimizer, job.world)
                if job.world.is_first:
                    _prune(job, said)
            if done % settings.log_every == 0 or save_due:
                tally.restart(batches.wait_seconds)
            if stop:
                break
    return Outcome(done, stop if done < settings.steps else None, measured)


def _prune(job: Job, said: set[str]) -> None:
    """Older checkpoints go. What is wrong with one that stays is said, unless it was ``said`` before."""
    damages = {*checkpoint.prune(job.run, job.config.train.keep_last)}
    for damage in sorted(damages - said):
        say(f"{damage}; training goes on without it")
    said |= damages
