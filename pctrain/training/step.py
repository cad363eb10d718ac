"""One optimizer step: a batch → gradients → weights, or none if something is wrong with it.

Legend: R rows, T positions, W the raw bytes and the views.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pctrain.config import OptimConfig
from pctrain.data.batch import IGNORE, NO_EXTRAS, NOTHING, Batch
from pctrain.data.shown_documents import ShownDocument
from pctrain.errors import PctrainError
from pctrain.model.device import autocast
from pctrain.model.method import Rows
from pctrain.training.distributed import whole
from pctrain.training.metrics import Losses
from pctrain.training.optim import set_learning_rate
from pctrain.training.progress import say
from pctrain.training.run_folder import METRICS
from pctrain.training.trainer import Trainer

_MOST_BAD_STEPS = 10
"""In a row: more than that, and the documents are not the cause."""
_NAMED = 3
"""Documents named in a message."""


def take_step(trainer: Trainer, rate: float, batch: Batch) -> Losses:
    """One optimizer step. If something is wrong with its losses, the weights stay as they were."""
    set_learning_rate(trainer.optimizer, rate)
    for method in trainer.objective.methods:
        method.begin(batch.cursor.step - 1, trainer.config.train.steps)
    losses = gradients(trainer, batch)
    if losses.fault(trainer.config.optim) is None:
        trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)
    return losses


def gradients(trainer: Trainer, batch: Batch) -> Losses:
    """Add the gradient of the mean loss over all targets of the global batch, in pieces of ``micro_rows``, and clip its
    norm. Each process computes its own rows; all get the same result."""
    runtime, world = trainer.config.runtime, trainer.world
    n_views = len(trainer.loader.view_names)
    targets = max(1, int(world.sum(np.array([(batch.arrays.targets_RT != IGNORE).sum()]))[0]))
    # The host waits for a GPU only after the last piece: the batch is moved before the first, and sums stay there.
    total = torch.zeros(1 + 2 * (n_views + 1), dtype=torch.float64, device=trainer.device)
    for rows in micro_batches(batch, runtime.micro_rows, -(-trainer.config.data.rows // world.size), trainer.device):
        with autocast(trainer.device, runtime.dtype):
            sums = trainer.objective(*rows)
        # FSDP averages over processes, but the loss is a sum over them.
        (sums.nats / targets * world.size).backward()
        total += torch.cat([sums.nats.detach()[None], sums.nats_W, sums.targets_W])
    norm = whole(torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), trainer.config.optim.clip or math.inf))
    summed = world.sum(total.cpu().numpy())
    nats_W, targets_W = torch.from_numpy(summed[1:]).chunk(2)
    return Losses(float(summed[0]), targets, nats_W, targets_W, norm.item())


def micro_batches(batch: Batch, micro_rows: int, n_rows: int, device: torch.device) -> Iterator[Rows]:
    """The arrays of the batch on a device, in pieces of ``micro_rows`` (0: in one).

    Padded with empty rows to ``n_rows``: processes that share weights must make the same number of forward passes.
    """

    def pieces(array: NDArray[Any], nothing: int) -> Sequence[Tensor]:
        padding = [(0, n_rows - len(array)), *[(0, 0)] * (array.ndim - 1)]
        filled = array if len(array) == n_rows else np.pad(array, padding, constant_values=nothing)
        return torch.split(torch.from_numpy(filled).to(device), micro_rows or n_rows)

    arrays: tuple[NDArray[Any], ...] = batch.arrays
    extras = {name: pieces(array, NO_EXTRAS[name]) for name, array in batch.extras.items()}
    whole = zip(*(pieces(array, nothing) for array, nothing in zip(arrays, NOTHING, strict=True)), strict=True)
    for number, tensors in enumerate(whole):
        yield Rows._make([*tensors, {name: of_extra[number] for name, of_extra in extras.items()}])


def refuse(fault: str, shown: Sequence[ShownDocument], settings: OptimConfig, in_a_row: int) -> None:
    """Report that a step was skipped. Raises ``PctrainError`` if the settings say to stop, or too many were skipped."""
    names = [f"{one.dataset} {one.document} ({one.path})" for one in shown[:_NAMED]]
    more = f" and {len(shown) - _NAMED} more, all of them in {METRICS}" if len(shown) > _NAMED else ""
    where = f"{fault}; its documents are {', '.join(names)}{more}"
    if settings.bad_step == "skip" and in_a_row < _MOST_BAD_STEPS:
        say(f"{where}; the update is skipped")
        return
    if settings.bad_step == "skip":
        where += f"; {in_a_row} steps in a row were skipped"
        advice = "lower optim.lr;"
    else:
        advice = "lower optim.lr, or skip such steps with optim.bad_step=skip;"
    raise PctrainError(f"{where}; {advice} rerun to resume from the last checkpoint")
