"""Several processes as one: their ranks, sums over all of them, and a model whose weights they share.

``torchrun`` starts the processes and gives each its rank in the environment; without it there is one. They communicate
with gloo on CPUs and NCCL on GPUs. Weights, gradients and AdamW's averages are sharded, a part of each tensor per
process (FSDP2, ``torch.distributed.fsdp.fully_shard``); any number of processes can resume from a checkpoint.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from pctrain.errors import ConfigError
from pctrain.model.decoder import Counts
from pctrain.model.loss import Objective

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class World:
    """This process among all."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    per_machine: int = 1
    """Processes on this machine, among which a CPU's memory is divided."""
    agent: int | None = None
    """The process of ``torchrun`` that started this one; None without it."""

    @property
    def is_launched(self) -> bool:
        """Whether a launcher started this process and will end it: it is one of several, or ``torchrun``'s."""
        return self.size > 1 or self.agent is not None

    def is_orphaned(self) -> bool:
        """Whether ``torchrun`` has ended before this process."""
        return self.agent is not None and os.getppid() != self.agent

    @property
    def is_first(self) -> bool:
        """Whether it is the process that prints and writes files."""
        return self.rank == 0

    def sum(self, array: NDArray[Any]) -> NDArray[Any]:
        """The sum over all processes, which must all call this; exact if each element is nonzero in at most one
        of them."""
        if self.size == 1:
            return array
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        dist.all_reduce(tensor)
        summed: NDArray[Any] = tensor.cpu().numpy()
        return summed

    def summed(self, counts: Counts | None) -> Counts | None:
        """What all processes have read."""
        return counts and Counts(*self.sum(np.array(counts)).tolist())

    def largest(self, number: int) -> int:
        """The largest that any process has: how they agree on a signal that only some of them got."""
        if self.size == 1:
            return number
        tensor = torch.tensor([number], device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor.item())

    def gathered_from_all(self, items: list[T]) -> list[T]:
        """The items of all processes, by rank; they must be small, because they are sent as pickles."""
        if self.size == 1:
            return items
        lists: list[Any] = [None] * self.size
        dist.all_gather_object(lists, items)
        return [item for each in lists for item in each]

    def divided(self, items: Sequence[T], work: Callable[[Sequence[T]], Iterable[R]]) -> list[R]:
        """The results of ``work`` on all items; each process does a share. Results must be small
        (``gathered_from_all``).

        If the machine fails one of them, all raise that error, and none waits for the others.
        """
        done: list[R | OSError | MemoryError]
        try:
            done = [*work(items[self.rank :: self.size])]
        except (OSError, MemoryError) as error:
            done = [error]
        results = []
        for result in self.gathered_from_all(done):
            if isinstance(result, OSError | MemoryError):
                raise result
            results.append(result)
        return results

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the processes that ``torchrun`` started, each with a GPU of its own if ``device`` is one; leave at the
    end."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    # Read before the rendezvous, which goes through the agent and fails if the agent has ended by then.
    agent = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
    if size == 1:
        yield World(device=device, agent=agent)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, device, int(os.environ.get("LOCAL_WORLD_SIZE", "1")), agent)
        gc.collect()  # an object that still refers to the group when it is destroyed crashes gloo's threads
        dist.barrier()
    finally:
        dist.destroy_process_group()


def shard(objective: Objective, world: World, replicas: int) -> None:
    """Shard the weights over the processes, in ``replicas`` groups that each hold all of them.

    Each layer is gathered when it runs. Raises ``ConfigError`` for replicas that the processes cannot form.
    """
    if world.size % replicas:
        raise ConfigError(f"runtime.replicas must divide the {world.size} processes, got {replicas}")
    if world.size == 1:
        return
    shape = (replicas, world.size // replicas)
    mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=("replicate", "shard"))
    for layer in objective.decoder.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(objective, mesh=mesh)


@contextmanager
def gathered(objective: Objective) -> Iterator[None]:
    """Inside, embedding and output are gathered too, for a forward pass that bypasses the hooks."""
    if not isinstance(objective, FSDPModule):
        yield
        return
    objective.unshard()
    yield
    objective.reshard()


def whole(tensor: Tensor) -> Tensor:
    """A tensor gathered from all its shards; every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
