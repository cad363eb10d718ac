"""Memory of a training step, calculated from shapes; what a device has free; and whether it fits.

Legend: R rows of one forward pass, T positions, D width, F inner width of the feed-forward, V ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from pctrain.config import ModelConfig, RunConfig
from pctrain.errors import ConfigError
from pctrain.model.cross_entropy import positions_at_once
from pctrain.model.device import precision
from pctrain.model.kinds import entries_known, stages
from pctrain.model.size import planned_size

_PASSING: Final = 1.25
"""Factor for what backward needs besides the kept activations, and for what the allocator does not reuse."""
_RUNTIME_BYTES: Final = 150_000_000
"""Taken by torch and its libraries once they compute."""
_CLEARLY: Final = 2.0
"""Estimates above this multiple of the free memory are refused. On a CPU, estimates were 0.7 to 1.3 of the peak; on a
GPU, where compiled layers keep less, they were not measured."""


@dataclass(frozen=True)
class Memory:
    """Estimated peak, in bytes on one device."""

    state_bytes: int
    """Weights, gradients and AdamW's two averages, in float32."""
    activations_bytes: int
    """What a forward pass keeps for backward, including masks, and temporary values."""
    output_bytes: int
    """Logits of one piece, the gradient of the output matrix, and torch itself."""

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.activations_bytes + self.output_bytes


def memory_of_step(
    config: RunConfig,
    n_ids: int,
    device: torch.device,
    *,
    of_methods: int = 0,
    shards: int = 1,
    ranks: int = 1,
    flex: bool = False,
) -> Memory:
    """``ranks`` is the number of processes, each with its part of the rows; ``shards`` of them share the weights.
    ``of_methods``: how many parameters training methods add."""
    data, model, runtime = config.data, config.model, config.runtime
    n_parameters = planned_size(config, n_ids).parameters + of_methods
    rows = min(-(-data.rows // ranks), runtime.micro_rows or data.rows)
    positions = rows * data.seq_len
    narrow = precision(device, runtime.dtype).itemsize
    entering = positions * 4 * model.width
    of_stages = stages(config, entries_known(config)[1])
    layers = [
        positions * stage.share * _kept_per_position(model, stage.attended, narrow, flex=flex) for stage in of_stages
    ]
    kept = sum(stage.layers * layer for stage, layer in zip(of_stages, layers, strict=True))
    if runtime.activation_checkpointing:
        kept = max(layers) + sum(stage.layers * stage.share for stage in of_stages) * entering
    # [R, T, T] bools: same sample, and that with causality
    masks = 0 if flex else sum(2 * positions * stage.share * stage.attended for stage in of_stages)
    logits = 3 * 4 * n_ids * min(positions, positions_at_once(n_ids, device))
    return Memory(
        state_bytes=16 * n_parameters // shards,
        activations_bytes=int(_PASSING * kept + masks) + 2 * entering,
        output_bytes=logits + 4 * n_ids * model.width + _RUNTIME_BYTES,
    )


def _kept_per_position(model: ModelConfig, attended: float, narrow: int, *, flex: bool) -> float:
    """Bytes that a layer keeps for backward (found with ``torch.autograd.graph.saved_tensors_hooks``): in float32, the
    inputs and results of both norms; in ``narrow`` bytes per number, the inputs of five products, queries, keys, values
    and attention's result, and four times the inner width; and the mask, which torch converts to floats in each
    layer."""
    kv_width = model.width // model.attention_heads * model.kv_heads
    products = 5 * model.width + 2 * kv_width + 4 * model.hidden
    mask = 0 if flex else narrow * attended
    biases = 4 * model.attention_heads * attended if model.reach else mask
    return 4 * 4 * model.width + narrow * products + biases


def free_bytes(device: torch.device, root: Path = Path("/")) -> int | None:
    """What a process could still take of a device's memory; None where the system does not say.

    On a CPU: what Linux has available, within the limits of the process's control groups (versions 1 and 2).
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    return max(0, min([available, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> Iterator[int]:
    """What is left in each control group with a limit. The page cache can be reclaimed, so it does not count."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers not in ("", "memory"):
            continue
        files = ("memory.limit_in_bytes", "total_rss") if controllers else ("memory.max", "anon")
        top = root / "sys/fs/cgroup" / controllers
        here = top / path.lstrip("/")
        for folder in (here, *here.parents):
            if folder.is_relative_to(top) and (left := _left_in_group(folder, *files)) is not None:
                yield left


def _left_in_group(folder: Path, limit_file: str, used: str) -> int | None:
    """None without a limit, or where a container does not see the group."""
    try:
        limit = int((folder / limit_file).read_text(encoding="ascii"))  # version 2 says "max" for no limit
        numbers = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return limit - int(numbers[used])
    except (OSError, ValueError, KeyError):
        return None


def check_fits(wanted: Memory, free: int | None, config: RunConfig, device: torch.device) -> None:
    """Raises ``ConfigError`` if the certain part alone exceeds the free memory, or if the whole estimate exceeds it by
    more than its error."""
    if free is None or (wanted.state_bytes <= free and wanted.total_bytes <= _CLEARLY * free):
        return
    raise ConfigError(
        f"a training step would need about {gigabytes(wanted.total_bytes)} of memory "
        f"({gigabytes(wanted.state_bytes)} for weights, gradients and AdamW, {gigabytes(wanted.activations_bytes)} for "
        f"activations), {device} has {gigabytes(free)} free; {how_to_save(config)}"
    )


def how_to_save(config: RunConfig) -> str:
    """The settings that reduce memory, for messages."""
    rows = config.runtime.micro_rows or config.data.rows
    micro_rows = f"runtime.micro_rows (now {rows}) or " if rows > 1 else ""
    return f"lower {micro_rows}data.seq_len (now {config.data.seq_len}), or take a smaller model (--preset)"


def gigabytes(n_bytes: int) -> str:
    """``0.3 GB``, ``24 GB``, ``4,000 GB``."""
    amount = n_bytes / 1e9
    return f"{amount:.1f} GB" if amount < 10 else f"{amount:,.0f} GB"
