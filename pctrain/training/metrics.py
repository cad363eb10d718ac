"""The log of a run: ``metrics.jsonl``, and the sums in its lines.

A line of kind ``train`` covers the steps since the one before it, and never spans a checkpoint, so that a run that was
killed and resumed writes the same lines as an uninterrupted one. A line of kind ``val`` is one measurement, one of kind
``start`` has the settings from there on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from pcdata import machine
from pcdata.dataset.files import naming, open_to_append, replacing
from pcdata.dataset.json_files import parse_json
from pcdata.dataset.names import regular_file
from pctrain.config import OptimConfig
from pctrain.data.batch import BatchStats


class MetricsLog(AbstractContextManager["MetricsLog"]):
    """Appends lines to a JSONL file; on resume, lines after the resumed step (and a half-written one) are dropped."""

    def __init__(self, path: Path, step: int, *, writes: bool = True) -> None:
        """Only one of several processes ``writes``."""
        self._writes, self._path = writes, path
        if not writes:
            return
        before = whole_lines(path) if step and path.exists() else []
        kept = [line for line in before if _step_of(line) <= step]
        with replacing(path) as file:
            file.write(b"".join(kept))
        self._file = open_to_append(path)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Write one line and flush it; numbers that are not finite become null, since JSON has none."""
        if self._writes:
            known = {name: None if _is_no_number(value) else value for name, value in values.items()}
            line = json.dumps({"kind": kind, "step": step, **known}, allow_nan=False)
            with naming(self._path):
                self._file.write(line.encode() + b"\n")
                self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._writes:
            self._file.close()


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def whole_lines(path: Path) -> list[bytes]:
    """Those of a log; a run in progress may be in the middle of the last one."""
    lines = regular_file(path.parent, path.name).read_bytes().splitlines(keepends=True)
    return [line for line in lines if line.endswith(b"\n")]


def _step_of(line: bytes) -> float:
    """Infinity for a line that says none."""
    try:
        return int(parse_json(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return math.inf


@dataclass(frozen=True)
class Losses:
    """The losses of one optimizer step. W is the raw bytes and the views."""

    nats: float
    """Over all targets of the global batch."""
    targets: int
    """Positions that have one."""
    nats_W: Tensor
    targets_W: Tensor
    gradient_norm: float
    """Before it was clipped."""

    @property
    def mean(self) -> float:
        """Nats per target: the loss."""
        return self.nats / self.targets

    def fault(self, settings: OptimConfig) -> str | None:
        """Why the step is bad; None if it is not."""
        if not math.isfinite(self.nats) or not math.isfinite(self.gradient_norm):
            return f"the loss is {self.mean:.4g} and its gradient's norm {self.gradient_norm:.4g}"
        if 0 < settings.largest_loss < self.mean:
            return f"the loss is {self.mean:.4g}, above optim.largest_loss={settings.largest_loss:g}"
        if 0 < settings.largest_norm < self.gradient_norm:
            return (
                f"the gradient's norm is {self.gradient_norm:.4g}, above optim.largest_norm={settings.largest_norm:g}"
            )
        return None


class Tally:
    """Sums over the steps since the last line. Ratios are taken when it is read."""

    def __init__(
        self,
        view_names: Sequence[str],
        dataset_names: Sequence[str],
        flops_of: Callable[[int, Mapping[str, int], int], int],
        peak_flops: float,
    ) -> None:
        """``flops_of`` is ``methods.flops.flops_of_steps`` of the run; ``peak_flops`` is the peak per second of all
        devices together."""
        self._names = ["raw", *view_names]
        self._flops_of = flops_of
        self._peak_flops = peak_flops
        self._named = {"_V": ("_by_view", self._names), "_D": ("_by_dataset", [*dataset_names])}
        self.restart(0.0)

    def restart(self, wait_seconds: float) -> None:
        """Start over; ``wait_seconds`` is the time spent waiting for data so far in the run."""
        self._steps = self._skipped = 0
        self._nats = 0.0
        self._targets = 0
        self._nats_W = torch.zeros(len(self._names), dtype=torch.float64)
        self._targets_W = torch.zeros(len(self._names), dtype=torch.float64)
        self._stats: BatchStats | None = None
        self._wait_before = wait_seconds
        self._begun = perf_counter()

    def skip(self, stats: BatchStats) -> None:
        """Count a step whose update was skipped."""
        self._skipped += 1
        self._count(stats)

    def add(self, losses: Losses, stats: BatchStats) -> None:
        """Count a step."""
        self._count(stats)
        self._nats += losses.nats
        self._targets += losses.targets
        self._nats_W += losses.nats_W
        self._targets_W += losses.targets_W

    def _count(self, stats: BatchStats) -> None:
        self._steps += 1
        self._stats = stats if self._stats is None else self._stats + stats

    def speed(self, wait_seconds: float) -> dict[str, float]:
        """Positions, raw bytes shown or encoded, and training flops, per second; the flops as a share of the peak; and
        the share of the time spent waiting for data."""
        assert self._stats is not None
        seconds = perf_counter() - self._begun
        symbols = dict(zip(self._names, self._stats.symbols_V, strict=True))
        flops_per_second = self._flops_of(self._steps, symbols, self._stats.compressed_bytes) / seconds
        return {
            "symbols_per_second": self._stats.positions / seconds,
            "raw_bytes_per_second": (self._stats.raw_bytes + self._stats.compressed_bytes) / seconds,
            "flops_per_second": flops_per_second,
            "utilisation": flops_per_second / self._peak_flops,
            "waiting": (wait_seconds - self._wait_before) / seconds,
        }

    def line(self) -> dict[str, Any]:
        """The sums, and the loss: nats per target. If all steps were skipped, there is none, and no key for one."""
        assert self._stats is not None
        loss = {"loss": self._nats / self._targets} if self._targets else {}
        per_view = zip(self._names, self._nats_W.tolist(), self._targets_W.tolist(), strict=True)
        return {
            "steps": self._steps,
            "skipped": self._skipped,
            **loss,
            "nats": self._nats,
            "targets": self._targets,
            "views": {name: _view(nats, int(targets)) for name, nats, targets in per_view},
            "data": dict(self._with_names(name, value) for name, value in asdict(self._stats).items()),
            "shares": self._stats.shares(),
        }

    def _with_names(self, name: str, value: Any) -> tuple[str, Any]:
        """Sums per view or dataset under the names of those."""
        for letter, (suffix, names) in self._named.items():
            if name.endswith(letter):
                return name.removesuffix(letter) + suffix, dict(zip(names, value, strict=True))
        return name, value


def _view(nats: float, targets: int) -> dict[str, float | int]:
    """Without targets there is no loss, and no key for one."""
    return {"nats": nats, "targets": targets} | ({"loss": nats / targets} if targets else {})


def peak_memory_bytes(device: torch.device) -> int:
    """The peak memory of this process: on a GPU, allocated by torch; on a CPU, resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return machine.peak_memory_bytes()
